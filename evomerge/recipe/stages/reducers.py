"""Reducers: from one task vector per expert to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from evomerge.documents import shown
from evomerge.recipe.numbers import Fraction
from evomerge.recipe.stages.base import StageValue


class Linear(StageValue):
    """Adds the weighed experts; `mean` then divides each entry by the weights of the experts that speak there.

    Where those weights cancel, `mean` leaves the sum as it is.
    """

    is_entrywise: ClassVar[bool] = True

    reduce: Literal["sum", "mean"]


class Sphere(StageValue):
    """Spherical interpolation from the first of two experts (t = 0) to the second (t = 1), tensor by tensor."""

    reduce: Literal["sphere"]
    t: Fraction

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "spherical"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """It takes two experts."""
        if len(experts) == 2:
            return None
        return f"reduce: sphere takes two experts, but there are {len(experts)} {shown(list(experts))}. Name two."


STAGES = (Linear, Sphere)
