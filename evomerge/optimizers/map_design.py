"""Where surrogates are first told what there is: a Latin hypercube, or the directions in which they miss."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

CAUTION = 0.5
"""λ: by so many standard deviations of its mean a bin's score exceeds it."""

LEFT_OUT = 0.2
"""Share of a bin's points that each resample leaves out."""

RESAMPLES = 30
"""So many of them tell the standard deviation."""

RADII = (0.2, 1.0)
"""Least and largest share of the way from the corner to the box's far side."""


def latin_hypercube(size: int, dimension: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points spread evenly over the unit box, (size, D): every coordinate has one in each of `size` equal bins."""
    bins_ND = np.argsort(rng.random((size, dimension)), axis=0)
    return (bins_ND + rng.random((size, dimension))) / max(size, 1)


def by_directions(
    points_ND: NDArray[np.float64],
    misses_N: NDArray[np.float64],
    size: int,
    temperature: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Points in the directions in which surrogates miss most: the Bayesian form of MAP (arXiv 2406.07529).

    Directions are seen from the corner of the box where all genes are lowest, which is the base model where genes are
    weights from 0 on. Their D - 1 angles are cut into four bins each, from four genes on into two, as in the authors'
    code. A bin that holds points scores the mean of their misses plus λ of its standard deviations, which is told by
    leaving points out; bins are drawn with probability softmax(score / temperature), angles evenly inside them. In the
    authors' code each task has points of its own, and the radius is a length in [0.2, 0.8]; here the objectives share
    their points, and the radius is a share of the way through the box, however many genes there are.

    Args:
        points_ND: Points of the unit box that are known.
        misses_N: Squared differences between what surrogates predict there and what was observed, as shares of the
            squared range of a loss.
        size: How many to draw, S.
        temperature: Where it is large against the scores, all bins are drawn alike.
        rng: Draws them.

    Returns:
        (S, D), in the unit box.
    """
    width = np.pi / 2 / _bins_per_angle(points_ND.shape[1])
    bins = defaultdict[tuple[int, ...], list[int]](list)
    for row, bins_A in enumerate(np.minimum(_angles(points_ND), np.nextafter(np.pi / 2, 0)) // width):
        bins[tuple(bins_A.astype(int).tolist())].append(row)
    score_B = np.array([_score(misses_N[rows], rng) for rows in bins.values()])
    drawn_S = rng.choice(len(bins), size, p=softmax(score_B / temperature))
    corners_SA = np.array(list(bins), dtype=np.float64)[drawn_S]
    directions_SD = _directions(width * (corners_SA + rng.random(corners_SA.shape)))
    return np.asarray(rng.uniform(*RADII, (size, 1)) * directions_SD / directions_SD.max(axis=1, keepdims=True))


def _bins_per_angle(dimension: int) -> int:
    return 4 if dimension < 4 else 2


def _score(misses_N: NDArray[np.float64], rng: np.random.Generator) -> float:
    num_kept = max(round((1 - LEFT_OUT) * len(misses_N)), 1)
    means = [misses_N[rng.permutation(len(misses_N))[:num_kept]].mean() for _ in range(RESAMPLES)]
    return float(misses_N.mean() + CAUTION * np.std(means))


def _angles(points_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles of points in spherical coordinates, (N, D - 1), in [0, π/2] as all coordinates are at least 0."""
    beyond_ND = np.sqrt(np.cumsum(points_ND[:, ::-1] ** 2, axis=1))[:, ::-1]
    return np.arctan2(beyond_ND[:, 1:], points_ND[:, :-1])


def _directions(angles_SA: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points at distance 1 from the corner with these angles, (S, A + 1)."""
    ones_S1 = np.ones((len(angles_SA), 1))
    sines_SD = np.cumprod(np.concatenate([ones_S1, np.sin(angles_SA)], axis=1), axis=1)
    return np.asarray(sines_SD * np.concatenate([np.cos(angles_SA), ones_S1], axis=1))
