"""Ranks of domination under noise: what is only probably better counts as no better."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from scipy.special import ndtr


def probable_domination(losses_NM: NDArray[np.float64], errors_NM: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability that one candidate is better than another in every objective, as (N, N): row beats column.

    Losses are taken as normal and independent: P(i dominates j) = Π_m Φ((l_jm − l_im) / √(s_im² + s_jm²)) (Teich 2001,
    "Pareto-front exploration with uncertain objectives", doi 10.1007/3-540-44719-9_22; Hughes 2001,
    doi 10.1007/3-540-44719-9_23). Without errors it is 1 or 0, by Pareto's rule. Candidates that answered the same
    items err together, so that their differences are surer than this says.

    Args:
        losses_NM: One row per candidate.
        errors_NM: Their standard errors.
    """
    probability_NN = np.ones((len(losses_NM), len(losses_NM)))
    better_NN = np.zeros_like(probability_NN, dtype=bool)
    for losses_N, errors_N in zip(losses_NM.T, errors_NM.T, strict=True):
        gap_NN = losses_N[None] - losses_N[:, None]
        spread_NN = np.hypot(errors_N[:, None], errors_N[None])
        is_noisy_NN = spread_NN > 0
        normal_NN = ndtr(gap_NN / np.where(is_noisy_NN, spread_NN, 1.0))
        probability_NN *= np.where(is_noisy_NN, normal_NN, gap_NN >= 0)
        better_NN |= gap_NN > 0
    return np.asarray(probability_NN * better_NN)


def probably_beats(
    losses_NM: NDArray[np.float64], errors_NM: NDArray[np.float64], confidence: float
) -> NDArray[np.bool_]:
    """Whether the row dominates the column with such a probability, and in the means; the latter rules circles out."""
    no_worse_NN = (losses_NM[:, None] <= losses_NM[None]).all(axis=2)
    return np.asarray(no_worse_NN & (probable_domination(losses_NM, errors_NM) >= confidence))


class NoisyNsga2(NSGA2):  # type: ignore[misc]
    """NSGA-II whose ranks and tournaments count domination of at least some probability."""

    def __init__(self, confidence: float, **settings: Any) -> None:
        super().__init__(survival=_ProbableRanks(confidence), **settings)
        self.tournament_type = "comp_by_rank_and_crowding"  # the other kind compares losses as they are


class _ProbableRanks(RankAndCrowding):  # type: ignore[misc]
    """Rank, then crowding; individuals carry standard errors as `errors`."""

    def __init__(self, confidence: float) -> None:
        super().__init__()
        self._confidence = confidence

    def _do(self, problem: Any, pop: Any, *more: Any, **keywords: Any) -> Any:
        self.nds = _Sorting(pop.get("errors").astype(float), self._confidence)
        return super()._do(problem, pop, *more, **keywords)


class _Sorting:
    """What pymoo asks for fronts, of one population."""

    def __init__(self, errors_NM: NDArray[np.float64], confidence: float) -> None:
        self._errors_NM = errors_NM
        self._confidence = confidence

    def do(self, losses_NM: NDArray[np.float64], n_stop_if_ranked: int) -> list[NDArray[np.intp]]:
        """Layers until so many are ranked; the first is dominated by nobody, the next by the first only."""
        beats_NN = probably_beats(losses_NM, self._errors_NM, self._confidence)
        left_N = np.ones(len(losses_NM), dtype=bool)
        layers: list[NDArray[np.intp]] = []
        while left_N.any() and len(losses_NM) - left_N.sum() < n_stop_if_ranked:
            layers.append(np.flatnonzero(left_N & ~beats_NN[left_N].any(axis=0)))
            left_N[layers[-1]] = False
        return layers
