"""Newton's ascent to the mode of a log-concave density, with steps halved until they go up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from evomerge.fitness.irt.model import Floats

Density: TypeAlias = Callable[[Floats], tuple[float, Floats, Floats]]
"""Logarithm of a density at a point of E coordinates, its gradient (E,) and its negative second derivative (E, E)."""

_STEPS, _HALVINGS, _TOLERANCE = 50, 20, 1e-8


def mode(density: Density, start_E: Floats) -> tuple[Floats, Floats]:
    """Where the density is largest, and its negative second derivative there.

    Whole steps overshoot where all answers are right or all are wrong, as those of a broken merge are.
    """
    point_E, (height, gradient_E, curvature_EE) = start_E, density(start_E)
    for _ in range(_STEPS):
        step_E = np.linalg.solve(curvature_EE, gradient_E)
        for _ in range(_HALVINGS):
            next_E = point_E + step_E
            next_height, next_gradient_E, next_curvature_EE = density(next_E)
            if next_height >= height:
                break
            step_E = step_E / 2
        else:
            break  # the last digits do not go up any more
        point_E, height, gradient_E, curvature_EE = next_E, next_height, next_gradient_E, next_curvature_EE
        if np.abs(step_E).max() < _TOLERANCE:
            break
    return point_E, curvature_EE
