"""Reducers that take one expert here and another there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic

from evomerge.documents import shown
from evomerge.recipe.stages.base import StageValue


class Pick(StageValue):
    """Takes the weighed task vector of one expert alone, which is counted from 0."""

    is_entrywise: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = True
    is_sum_alone: ClassVar[bool] = True

    reduce: Literal["pick"]
    expert: int = pydantic.Field(ge=0)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "one expert"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """The expert must be there."""
        if self.expert < len(experts):
            return None
        known = f"the {len(experts)} experts {shown(list(experts))}, counted from 0"
        return f"expert {self.expert} is none of {known}. Name another."


class Swap(StageValue):
    """Takes the first of two experts in the outer layers and the second in the middle (arXiv:2410.01335).

    The first `bottom` and the last `top` layers are the first expert's, and so is what lies in no layer. In the
    `transition` layers next to them the two are averaged.
    """

    is_entrywise: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = True

    reduce: Literal["swap"]
    bottom: int = pydantic.Field(default=5, ge=0)
    top: int = pydantic.Field(default=2, ge=0)
    transition: int = pydantic.Field(default=1, ge=0)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "layers swapped"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """It takes two experts."""
        if len(experts) == 2:
            return None
        return f"reduce: swap takes two experts, but there are {len(experts)} {shown(list(experts))}. Name two."


STAGES = (Pick, Swap)
