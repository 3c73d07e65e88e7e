"""Competition for items: what every item pays is shared by the members that solve it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evomerge.optimizers.m2n2.settings import M2N2Settings

Floats: TypeAlias = NDArray[np.float64]

EPSILON = 1e-8
"""The ε of the paper, which gives no number."""


def competing_scores(scores_PI: Floats, settings: M2N2Settings) -> Floats:
    """The scores that members compete with: as they are, or above the worst member's on each item."""
    return scores_PI - scores_PI.min(axis=0) if settings.floor == "worst" else scores_PI


def capacities(scores_PI: Floats, settings: M2N2Settings) -> Floats:
    """What each item can pay in all, c_j (arXiv 2508.16204, with eqs. 3 and 5)."""
    return scores_PI.max(axis=0) if settings.capacity == "best" else np.ones(scores_PI.shape[1])


def shares(scores_PI: Floats, capacities_I: Floats, alpha: float, settings: M2N2Settings) -> Floats:
    """What a score of 1 earns on each item: c_j / (z_j^α + ε) with z_j = Σ_i s_ij.

    Args:
        scores_PI: Scores of the members that compete, 0 or more, on all items.
        capacities_I: What each item can pay.
        alpha: Strength of competition.
        settings: For `zeros`.
    """
    crowd_I = scores_PI.sum(axis=0)
    if settings.zeros == "one":
        return np.asarray(capacities_I / np.where(crowd_I == 0, 1.0, crowd_I) ** alpha)
    return np.asarray(capacities_I / (crowd_I**alpha + EPSILON))


def earnings(scores_PI: Floats, shares_I: Floats) -> Floats:
    """What members earn over all items; equal rows earn exactly the same, which a product by BLAS does not promise."""
    return np.asarray((scores_PI * shares_I).sum(axis=1))


def fitness(scores_PI: Floats, settings: M2N2Settings) -> Floats:
    """Shared fitness of every member, f_i = Σ_j c_j s_ij / (z_j^α + ε) (arXiv 2508.16204 eqs. 3 and 5).

    Args:
        scores_PI: Scores of all members on all items, in [0, 1].
        settings: `alpha`, `zeros`, `capacity` and `floor`.

    Returns:
        One number per member, 0 or more.
    """
    scores_PI = competing_scores(scores_PI, settings)
    shares_I = shares(scores_PI, capacities(scores_PI, settings), settings.alpha, settings)
    return earnings(scores_PI, shares_I)


def fitness_beside(scores_PI: Floats, child_I: Floats, settings: M2N2Settings) -> tuple[Floats, float]:
    """Shared fitness of every member and of a child that asks to enter.

    Args:
        scores_PI: Scores of the members.
        child_I: Scores of the child.
        settings: As for `fitness`, and `crowd`: whether the child's own scores add to the competition.
    """
    scores_QI = competing_scores(np.vstack([scores_PI, child_I]), settings)
    crowd = scores_QI if settings.crowd == "with_child" else scores_QI[:-1]
    shares_I = shares(crowd, capacities(scores_QI, settings), settings.alpha, settings)
    earnings_Q = earnings(scores_QI, shares_I)
    return earnings_Q[:-1], float(earnings_Q[-1])
