"""Reducers that keep to the sphere: directions are brought together apart from lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic

from evomerge.documents import shown
from evomerge.recipe.numbers import Fraction, NotNegative
from evomerge.recipe.stages.base import StageValue


class Sphere(StageValue):
    """Spherical interpolation from the first of two experts (t = 0) to the second (t = 1).

    `scope` says what is one vector: a tensor, each of its rows (along the last axis) or columns (along the first).
    Directions whose cosine exceeds `straight_from`, or falls below its negative, are interpolated linearly.
    """

    takes_factor: ClassVar[bool] = True

    reduce: Literal["sphere"]
    t: Fraction
    scope: Literal["tensor", "row", "column"] = "tensor"
    straight_from: Fraction = 1.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "spherical"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """It takes two experts."""
        if len(experts) == 2:
            return None
        return f"reduce: sphere takes two experts, but there are {len(experts)} {shown(list(experts))}. Name two."


class Karcher(StageValue):
    """The weighted mean direction of any number of experts, times their weighted mean length, tensor by tensor.

    It starts from the mean of the unit vectors, which is what Multi-SLERP of mergekit comes to (its tangents cancel),
    and takes up to `iterations` steps towards the mean on the sphere (Karcher 1977, doi:10.1002/cpa.3160300502); one
    step is Multi-SLERP with logarithmic maps. It stops where a step is shorter than `tolerance`. Experts of zeros have
    no direction, and one with a negative weight has the opposite one. Where directions cancel, experts are added up.
    """

    takes_factor: ClassVar[bool] = True
    is_sum_alone: ClassVar[bool] = True

    reduce: Literal["karcher"]
    iterations: int = pydantic.Field(default=10, ge=0)
    tolerance: NotNegative = 1e-5

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "mean direction"


STAGES = (Sphere, Karcher)
