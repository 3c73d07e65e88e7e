"""Gates that look at all experts together, or at the origin beside them."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import Density, NotNegative, Positive
from evomerge.recipe.stages.base import StageValue
from evomerge.recipe.stages.gates import DensityGate


class VarianceGate(DensityGate):
    """Keeps, for all experts alike, the entries that vary most between experts (SCE, arXiv:2408.07990, "select").

    `density` counts among the entries that vary at all; where any does, at least one stays. Of equals those that come
    first stay.
    """

    joins: ClassVar[bool] = False

    gate: Literal["variance"]
    density: Density

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "where experts differ most"


class ClipGate(StageValue):
    """Limits every entry to ±`at` (NearSwap moves by no more than that).

    `unit: rms` counts in root mean squares of the expert's task vector at this tensor, so that a limit means the same
    in all models and tensors; `one` takes the number as it is.
    """

    is_homogeneous: ClassVar[bool] = False

    gate: Literal["clip"]
    at: Positive
    unit: Literal["rms", "one"] = "rms"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "small steps"


class FusionGate(StageValue):
    """Keeps entries whose importance is far out (Arcee Fusion, mergekit).

    Importance is |τ| times the Kullback–Leibler divergence between the softmaxes of the expert's row and of the
    origin's; what reaches the median plus `reach` interquartile ranges of its tensor stays.
    """

    is_homogeneous: ClassVar[bool] = False

    gate: Literal["fusion"]
    reach: NotNegative = 1.5

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "outstanding changes"


STAGES = (VarianceGate, ClipGate, FusionGate)
