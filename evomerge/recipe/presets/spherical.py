"""Presets that keep to the sphere: directions are brought together apart from lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pydantic

from evomerge.recipe.numbers import Fraction, NotNegative
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import Karcher, Origin, Sphere, StageValue, Weigh, cancel


class SlerpPreset(PresetValue):
    """Spherical interpolation of two models' whole weights, from the first (t = 0) to the second (t = 1)."""

    use: Literal["slerp"]
    t: Fraction = 0.5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return Origin(origin="zero"), Sphere(reduce="sphere", t=self.t)


class NuslerpPreset(PresetValue):
    """Spherical interpolation by two weights, of task vectors where there is an origin (NuSLERP of mergekit)."""

    use: Literal["nuslerp"]
    weights: tuple[NotNegative, NotNegative] = pydantic.Field(default=(1.0, 1.0), description="two, 0 or more")
    scope: Literal["tensor", "row", "column"] = "tensor"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (Sphere(reduce="sphere", t=share_of_second(self.weights), scope=self.scope),)


class MultislerpPreset(PresetValue):
    """One step from the mean of the directions towards their mean on the sphere (Multi-SLERP), for any number.

    Task vectors are merged where there is an origin, whole weights where there is none. mergekit takes no logarithms,
    so that its step is none: `multislerp@mergekit`.
    """

    use: Literal["multislerp"]
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=normalised(self.weights, num_experts))
        return weigh, Karcher(reduce="karcher", iterations=1, tolerance=0.0)


class KarcherPreset(PresetValue):
    """Karcher mean of the experts' directions, times their mean length, for any number (arXiv:2603.04972).

    Task vectors are merged where there is an origin, whole weights where there is none.
    """

    use: Literal["karcher"]
    weights: Weights = None
    iterations: int = pydantic.Field(default=10, ge=0)
    tolerance: NotNegative = 1e-5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        mean = Karcher(reduce="karcher", iterations=self.iterations, tolerance=self.tolerance)
        return Weigh(weigh=normalised(self.weights, num_experts)), mean


def share_of_second(weights: Sequence[float]) -> float:
    """The interpolation point between two experts; halfway where both weights are zero."""
    total = math.fsum(weights)
    return weights[1] / total if total > 0 else 0.5


def normalised(weights: Weights, num_experts: int) -> tuple[float, ...]:
    """Weights that sum to one, equal ones where none are given; left as they are where they cancel."""
    given = weights or (1.0,) * num_experts
    return given if cancel(given) else tuple(weight / math.fsum(given) for weight in given)


PRESETS = (SlerpPreset, NuslerpPreset, MultislerpPreset, KarcherPreset)
