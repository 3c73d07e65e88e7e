"""Weighers that listen to the experts' task vectors before they say how loudly each may speak."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import NotNegative
from evomerge.recipe.stages.base import StageValue


class EnergyWeigher(StageValue):
    """Factors in proportion to the mean square of each task vector at this tensor (SCE, arXiv:2408.07990).

    They sum to one before `weights` multiply them. Where nobody moves, they are equal.
    """

    weigh: Literal["energy"]
    weights: tuple[float, ...] | None = None

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "by energy"


class NormWeigher(StageValue):
    """Factors in proportion to a power of each task vector's norm, summing to one before `weights` multiply them.

    The exponent 2 is MetaGPT's (arXiv:2406.11385, equation 15), over the whole `model`; 0 makes all equal, −1 evens
    out experts of different length. A task vector of zeros counts as one of length zero, whatever the exponent.
    """

    is_entrywise_over_model: ClassVar[bool] = True

    weigh: Literal["norm"]
    exponent: float = 2.0
    scope: Literal["tensor", "model"] = "model"
    weights: tuple[float, ...] | None = None

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "by norm"


class OverlapWeigher(StageValue):
    """Divides entries that several experts move among them and strengthens those that one alone moves.

    RAM and RAM+ (arXiv:2601.13572): an entry counts as moved where |τ| > epsilon. Of an entry that c experts move,
    each gets 1/c; one that expert k alone moves gets 1 + strength · min(shared_k / unique_k, limit), from how many
    entries of k are shared and unique, at this tensor or over the `model`. `unit` is that of `vote: nonzero`.
    """

    is_homogeneous: ClassVar[bool] = False

    weigh: Literal["overlap"]
    epsilon: NotNegative = 0.01
    unit: Literal["rms", "one"] = "rms"
    strength: NotNegative = 0.1
    limit: NotNegative = 0.2
    scope: Literal["tensor", "model"] = "tensor"
    weights: tuple[float, ...] | None = None

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "by overlap"


STAGES = (EnergyWeigher, NormWeigher, OverlapWeigher)
