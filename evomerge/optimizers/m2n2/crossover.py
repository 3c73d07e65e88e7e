"""Crossover of flat parameter vectors with a split point, and Gaussian mutation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evomerge.optimizers.m2n2.settings import M2N2Settings
from evomerge.recipe.sphere import sphere_weights


def mixing_weights(first_D: NDArray[np.floating], second_D: NDArray[np.floating], t: float) -> tuple[float, float]:
    """SLERP's factors of two vectors at weight `t` on the second (arXiv 2508.16204 eq. 2, f).

    Vectors that are zero or nearly parallel are mixed on the line.
    """
    squares = float(np.linalg.norm(first_D)) ** 2, float(np.linalg.norm(second_D)) ** 2
    return sphere_weights(*squares, float(first_D @ second_D), t)


def crossover(
    first_D: NDArray[np.floating],
    second_D: NDArray[np.floating],
    settings: M2N2Settings,
    rng: np.random.Generator,
    chromosomes: Sequence[int] = (),
) -> NDArray[np.floating]:
    """A child of two vectors: weight t on the second before the split point and 1 - t from it on (eq. 2).

    Args:
        first_D: One parent.
        second_D: The other.
        settings: `crossover`, `angle` and `split`.
        rng: Draws split points and weights.
        chromosomes: Lengths of consecutive parts that are mixed as vectors of their own, each with its own split
            point, weight and angles; empty for one part. A network's encoder and decoder, for instance.

    Returns:
        A new vector of the parents' dtype.
    """
    if settings.crossover == "none":
        return first_D.copy()
    child_D = np.empty_like(first_D)
    ends = np.cumsum([0, *(chromosomes or (first_D.size,))]).tolist()
    for start, end in pairwise(ends):
        part = slice(start, end)
        _mix(child_D[part], first_D[part], second_D[part], settings, rng)
    return child_D


def mutate(child_D: NDArray[np.floating], deviation: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """The vector with Gaussian noise of this standard deviation on every parameter, changed in place."""
    if deviation > 0:
        kind = np.float32 if child_D.dtype == np.float32 else np.float64
        child_D += deviation * rng.standard_normal(child_D.size, dtype=kind)
    return child_D


def _mix(
    child_D: NDArray[np.floating],
    first_D: NDArray[np.floating],
    second_D: NDArray[np.floating],
    settings: M2N2Settings,
    rng: np.random.Generator,
) -> None:
    """Write one chromosome of the child."""
    split = _split_point(first_D.size, settings, rng)
    t = rng.random()
    for side, weight in ((slice(None, split), t), (slice(split, None), 1.0 - t)):
        seen = side if settings.angle == "side" else slice(None)
        a, b = _weights(first_D[seen], second_D[seen], weight, settings)
        np.multiply(first_D[side], a, out=child_D[side])
        child_D[side] += b * second_D[side]


def _split_point(size: int, settings: M2N2Settings, rng: np.random.Generator) -> int:
    if settings.split == "evolving":
        return int(rng.integers(size))
    return size // 2 if settings.split == "fixed" else size


def _weights(
    first_D: NDArray[np.floating], second_D: NDArray[np.floating], t: float, settings: M2N2Settings
) -> tuple[float, float]:
    return (1.0 - t, t) if settings.crossover == "linear" else mixing_weights(first_D, second_D, t)
