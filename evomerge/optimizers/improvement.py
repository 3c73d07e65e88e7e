"""How much hypervolume candidates promise to add to a front, and which of them to take together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

NUM_SAMPLES = 2048
"""Points by which the room beyond a front is measured."""

MARGIN = 0.1
"""How far beyond the worst losses of the front the reference point lies, as a share of the range of all losses."""


def undominated(losses_NM: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row beats: is at least as good in all columns and better in one."""
    no_worse_NN = (losses_NM[:, None] <= losses_NM[None]).all(axis=2)
    better_NN = (losses_NM[:, None] < losses_NM[None]).any(axis=2)
    return np.asarray(~(no_worse_NN & better_NN).any(axis=0))


def room_beyond(
    losses_NM: NDArray[np.float64], ideal_M: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Points spread evenly over the losses that would add to a front.

    Args:
        losses_NM: What is there already; its first layer is the front.
        ideal_M: The best losses that are thought possible.
        rng: Places the points.

    Returns:
        (Q, M): at least as bad as the ideal, at least as good as the reference point, and dominated by no row.
    """
    front_FM = losses_NM[undominated(losses_NM)]
    worst_M = front_FM.max(axis=0) + MARGIN * np.ptp(losses_NM, axis=0)
    low_M = np.minimum(ideal_M, front_FM.min(axis=0))
    points_QM = low_M + (worst_M - low_M) * rng.random((NUM_SAMPLES, losses_NM.shape[1]))
    return np.asarray(points_QM[~(front_FM[:, None] <= points_QM[None]).all(axis=2).any(axis=0)])


def most_promising(
    mean_PM: NDArray[np.float64],
    deviation_PM: NDArray[np.float64],
    chance_P: NDArray[np.float64],
    room_QM: NDArray[np.float64],
    size: int,
) -> list[int]:
    """The candidates that promise to add most hypervolume together, one after another.

    The expected improvement of the hypervolume is the integral, over the room beyond the front, of the probability
    that a candidate dominates a place: EHVI(x) = ∫ Π_m Φ((q_m − μ_m(x)) / σ_m(x)) dq (Emmerich, Deutz and Klinkenberg
    2011, doi 10.1109/CEC.2011.5949880, with the order of the two integrals exchanged), here the mean over `room_QM`.
    What the candidates taken before would dominate with probability p counts 1 − p, as if they were independent.

    Args:
        mean_PM: Predicted losses.
        deviation_PM: Their standard deviations; may be 0.
        chance_P: Probability that a candidate keeps the constraints.
        room_QM: Places beyond the front.
        size: How many to take.

    Returns:
        Rows of `mean_PM`, the most promising first.
    """
    dominates_PQ = np.ones((len(mean_PM), len(room_QM)))
    for mean_P, deviation_P, room_Q in zip(mean_PM.T, deviation_PM.T, room_QM.T, strict=True):
        gap_PQ = room_Q[None] - mean_P[:, None]
        dominates_PQ *= ndtr(gap_PQ / np.maximum(deviation_P, 1e-9 * (1 + np.abs(mean_P)))[:, None])
    dominates_PQ *= chance_P[:, None]
    open_Q = np.ones(len(room_QM))
    left_P = np.zeros(len(mean_PM))  # -inf once taken
    taken: list[int] = []
    for _ in range(min(size, len(mean_PM))):
        # Where nothing promises anything, what most probably keeps the constraints goes first.
        taken.append(int(np.argmax(dominates_PQ @ open_Q + 1e-12 * chance_P + left_P)))
        left_P[taken[-1]] = -np.inf
        open_Q *= 1 - dominates_PQ[taken[-1]]
    return taken
