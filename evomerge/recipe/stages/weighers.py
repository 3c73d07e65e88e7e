"""Weighers: how loudly each expert speaks."""

from __future__ import annotations

from typing import ClassVar

from evomerge.recipe.stages.base import StageValue


class Weigh(StageValue):
    """One factor per expert, in the blend's order."""

    is_entrywise: ClassVar[bool] = True

    weigh: tuple[float, ...]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return ""


STAGES = (Weigh,)
