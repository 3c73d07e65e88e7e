"""Attraction: whom a member wants for a partner, and the roulette that picks parents."""

from __future__ import annotations

import numpy as np

from evomerge.optimizers.m2n2.competition import Floats, capacities, competing_scores, fitness, shares
from evomerge.optimizers.m2n2.settings import M2N2Settings


def attraction(scores_PI: Floats, first: int, settings: M2N2Settings, kinship_P: Floats | None = None) -> Floats:
    """How much every member attracts one, g(A, B) = Σ_j c_j / (z_j + ε) · max(s_Bj - s_Aj, 0) (arXiv 2508.16204 eq. 4).

    Args:
        scores_PI: Scores of all members on all items, in [0, 1].
        first: Which member looks for a partner, A.
        settings: `attraction` says whether z_j is raised to `alpha`; `kinship` how much relatives lose.
        kinship_P: Similarity of every member to A, at most 1; what is below 0 counts as 0. None where it is unknown.

    Returns:
        One number per member, 0 or more, 0 for A itself.
    """
    scores_PI = competing_scores(scores_PI, settings)
    alpha = settings.alpha if settings.attraction == "z_alpha" else 1.0
    shares_I = shares(scores_PI, capacities(scores_PI, settings), alpha, settings)
    attraction_P = np.maximum(scores_PI - scores_PI[first], 0.0) @ shares_I
    if kinship_P is not None:
        attraction_P = attraction_P * (1.0 - settings.kinship * np.clip(kinship_P, 0.0, 1.0))
    return np.asarray(attraction_P)


def draw(weights_P: Floats, rng: np.random.Generator) -> int | None:
    """An index drawn in proportion to its weight; None when all weights are 0."""
    sums_P = np.cumsum(weights_P)
    if not sums_P[-1] > 0:
        return None
    # The product may round up to the whole sum, which lies beyond the last index.
    return int(np.searchsorted(sums_P, min(rng.random() * sums_P[-1], np.nextafter(sums_P[-1], 0)), side="right"))


def draw_pair(count: int, rng: np.random.Generator) -> tuple[int, int]:
    """Two different indices below `count`, all pairs alike; the same one twice when there is only one."""
    first = int(rng.integers(count))
    return first, draw_other(count, first, rng)


def draw_two(weights_P: Floats, rng: np.random.Generator) -> tuple[int, int | None]:
    """Two different indices by weight: the first evenly where none has any, the second None where no other has."""
    first = draw(weights_P, rng)
    first = int(rng.integers(len(weights_P))) if first is None else first
    others_P = weights_P.copy()
    others_P[first] = 0.0
    return first, draw(others_P, rng)


def draw_other(count: int, first: int, rng: np.random.Generator) -> int:
    """An index below `count` that is not `first`; `first` itself when there is no other."""
    return (first + int(rng.integers(1, count))) % count if count > 1 else first


def draw_parents(
    scores_PI: Floats, settings: M2N2Settings, rng: np.random.Generator, kinship_PP: Floats | None = None
) -> tuple[int, int]:
    """Two parents: the first by its shared fitness, the second by `settings.partner`.

    By fitness, both are drawn independently and may be one and the same, as in the authors' code. Where nobody earns
    or attracts anything, all (other) members are alike.

    Args:
        scores_PI: Scores of all members.
        settings: Of the competition and the attraction.
        rng: Draws.
        kinship_PP: Similarity of every member to every other; see `attraction`.
    """
    count = len(scores_PI)
    fitness_P = fitness(scores_PI, settings)
    first = draw(fitness_P, rng)
    if first is None:
        first = int(rng.integers(count))
    if settings.partner == "fitness":
        weights_P = fitness_P
    else:
        weights_P = attraction(scores_PI, first, settings, None if kinship_PP is None else kinship_PP[first])
    second = draw(weights_P, rng)
    return first, draw_other(count, first, rng) if second is None else second
