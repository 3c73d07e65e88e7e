"""Gates that change what entries say rather than which of them speak."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import Share
from evomerge.recipe.stages.base import StageValue


class ClampGate(StageValue):
    """Raises the smallest magnitudes to the `low` quantile and lowers the largest to the `high` one; signs stay.

    As PCB-Merging (arXiv:2410.02396) does first; `scope: model` takes all tensors of the rule together.
    """

    is_entrywise_over_model: ClassVar[bool] = True

    gate: Literal["clamp"]
    low: Share = 1e-4
    high: Share = 1e-4
    scope: Literal["tensor", "model"] = "model"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "extremes clamped"


class SignGate(StageValue):
    """Leaves the sign alone: 1, −1, or 0 where nothing is left (ComPEFT, arXiv:2311.13171).

    A restoration gives the magnitude back that all entries then share: `std` or `l1`.
    """

    is_entrywise: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False

    gate: Literal["sign"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "signs only"


STAGES = (ClampGate, SignGate)
