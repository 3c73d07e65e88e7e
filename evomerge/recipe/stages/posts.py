"""Posts: how far and where the merged task vector moves the origin."""

from __future__ import annotations

from collections.abc import Sequence
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


class Stock(StageValue):
    """Moves as far from the origin as the angle between experts tells (Model Stock, arXiv:2403.19522, equation 4).

    With the mean cosine c of all pairs of n experts the merged task vector is multiplied by n c / (1 + (n − 1) c),
    per tensor or per row; where the divisor is zero, by zero. The formula is meant for acute angles:
    `cosine: clipped` takes obtuse ones for right ones, `measured` lets the factor become negative or large.
    """

    post: Literal["stock"]
    scope: Literal["tensor", "row"] = "tensor"
    cosine: Literal["clipped", "measured"] = "clipped"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "as far as experts agree"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """It compares experts."""
        return None if len(experts) > 1 else "post: stock compares experts, but there is one. Name two or more."


STAGES = (Scale, Stock)
