"""What an estimator is: answers on some items in, the score on all of them and its standard error out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from evomerge.fitness.answers import Answers, Pool
from evomerge.fitness.irt.model import Floats

Scores: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score, and how well it is known.

    Attributes:
        value: The score, in the metric's own unit.
        stderr: Its standard error; finite.
        num_items: Responses that it rests on.
        scores_I: These responses, where the score is their plain mean and may be compared item by item with others';
            else None.
    """

    value: float
    stderr: float
    num_items: int
    scores_I: Scores | None = field(default=None, compare=False, repr=False)


class Estimator(Protocol):
    """Estimates a candidate's score on a whole pool. The order in which items were asked has no say."""

    @property
    def pool(self) -> Pool:
        """The items whose mean score is estimated."""

    def estimate(self, answers: Answers) -> Estimate:
        """The mean score over the pool, and its standard error as a statement about that mean.

        Once every item was asked, the value is their mean to the last digit, and the error is 0.

        Raises:
            EvomergeError: If the estimator needs scores in [0, 1] and there are others.
        """

    def expected(self, answers: Answers) -> Floats:
        """The score of every item of the pool, float64: observed, or expected where it was not asked."""


E = TypeVar("E", bound=Estimator)


def exact_when_complete(estimate: Callable[[E, Answers], Estimate]) -> Callable[[E, Answers], Estimate]:
    """Let an estimator's method give the plain mean once every item was asked."""

    @functools.wraps(estimate)
    def exact(self: E, answers: Answers) -> Estimate:
        if len(answers) == self.pool.num_items:
            return Estimate(mean_in_order(answers.scores_I), 0.0, len(answers))
        return estimate(self, answers)

    return exact


def mean_in_order(scores_I: npt.NDArray[np.floating]) -> float:
    """The mean, summed from the first item to the last as lm-eval does, so that the last digit agrees."""
    total: float = sum(scores_I.astype(np.float64).tolist())
    return total / len(scores_I)


def with_observed(expected_N: Floats, answers: Answers) -> Floats:
    """Expected scores of a pool, with those that were observed in their places."""
    known_N = expected_N.copy()
    known_N[answers.items_I] = answers.scores_I
    return known_N


def read_out(answers: Answers, right_N: Floats) -> float:
    """Mean of the observed scores and, for items that were not asked, of the predicted ones (tinyBenchmarks' p-IRT).

    Args:
        answers: The observed scores.
        right_N: Predicted probability of every item of the pool.
    """
    unseen_I = answers.unseen(len(right_N))
    return float((answers.scores_I.sum() + right_N[unseen_I].sum()) / len(right_N))


def read_out_variance(answers: Answers, right_N: Floats, slopes_NE: Floats, covariance_EE: Floats) -> float:
    """Variance of `read_out` by the delta method: uncertain effects, and the chance of every item not asked.

    gᵀVg + Σ p(1 - p) / N² over the items not asked, g = Σ ∂p/∂effect / N.

    Args:
        answers: The observed scores.
        right_N: Predicted probabilities.
        slopes_NE: Their derivatives over E uncertain effects.
        covariance_EE: Of the effects.
    """
    num_items, unseen_I = len(right_N), answers.unseen(len(right_N))
    slope_E = slopes_NE[unseen_I].sum(0) / num_items
    chance = float((right_N[unseen_I] * (1 - right_N[unseen_I])).sum()) / num_items**2
    return float(slope_E @ covariance_EE @ slope_E) + chance


def misfit_variance(answers: Answers, pool: Pool) -> float:
    """Variance that a bank's wrongness adds: its error on unseen items, as far as they make the score.

    A mean absolute error b is that of a normal error of standard deviation b √(π/2).
    """
    if pool.bank is None:
        return 0.0
    unseen_share = 1 - len(answers) / pool.num_items
    return (unseen_share * pool.bank.provenance.misfit) ** 2 * math.pi / 2
