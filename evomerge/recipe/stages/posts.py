"""Posts: how far and where the merged task vector moves the origin."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.stages.base import StageValue


class Scale(StageValue):
    """Multiplies the merged task vector (λ of task arithmetic, arXiv:2212.04089)."""

    is_entrywise: ClassVar[bool] = True

    post: Literal["scale"]
    by: float

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.by == 1.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return f"× {self.by:.3g}"


STAGES = (Scale,)
