"""Reducers: from one task vector per expert to one."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.stages.base import StageValue


class Linear(StageValue):
    """Adds the weighed experts; `mean` then divides each entry by the weights of the experts that speak there.

    Where those weights cancel, `mean` leaves the sum as it is.
    """

    is_entrywise: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = True

    reduce: Literal["sum", "mean"]


class Largest(StageValue):
    """Takes, entry by entry, the weighed expert of largest magnitude; of equals the last (MagMax, arXiv:2407.06322)."""

    is_entrywise: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = True
    is_sum_alone: ClassVar[bool] = True

    reduce: Literal["absmax"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "largest change of all"


STAGES = (Linear, Largest)
