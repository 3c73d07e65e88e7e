"""Origins: what experts are measured from."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.stages.base import StageValue


class Origin(StageValue):
    """What experts are measured from: the blend's origin, or zero (whole weights rather than task vectors)."""

    is_entrywise: ClassVar[bool] = True

    origin: Literal["base", "zero"]

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.origin == "base"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "whole weights" if self.origin == "zero" else ""


STAGES = (Origin,)
