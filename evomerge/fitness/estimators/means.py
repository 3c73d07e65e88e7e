"""Means of the responses: over all items that were scored, and weighted by what the items stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evomerge.errors import EvomergeError
from evomerge.fitness.answers import Answers, Design, Pool
from evomerge.fitness.estimators.base import Estimate, Scores, exact_when_complete, mean_in_order, with_observed
from evomerge.fitness.irt.model import Floats


def subset_mean(scores_I: Scores) -> Estimate:
    """The mean over the items that were scored, as lm-eval computes a task's score and its standard error.

    The standard error is the sample's standard deviation over √I. One item has none; it is given max(1, |score|) / 2,
    the largest that a score between 0 and 1 can have.

    Args:
        scores_I: One score per item, float32; at least one.
    """
    num_items, value = len(scores_I), mean_in_order(scores_I)
    if num_items == 1:
        return Estimate(value, _largest_sd(value), num_items)
    variance = sum((score - value) ** 2 for score in scores_I.astype(np.float64).tolist()) / (num_items - 1)
    return Estimate(value, math.sqrt(variance) / math.sqrt(num_items), num_items)


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """Mean of the answers, each weighted by the items that it stands for: random, stratified and anchor items alike.

    Free of bias for random and stratified items, whatever the scores are; needs neither a bank nor parents.
    """

    pool: Pool
    design: Design

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        value, stderr = weighted_mean(answers, self.design)
        return Estimate(value, stderr, len(answers))

    def expected(self, answers: Answers) -> Floats:
        asked_I, num_strata = self.design.strata_N[answers.items_I], int(self.design.strata_N.max()) + 1
        counts_S, sums_S = (
            np.bincount(asked_I, minlength=num_strata),
            np.bincount(asked_I, answers.scores_I, num_strata),
        )
        means_S = np.where(counts_S > 0, sums_S / np.maximum(counts_S, 1), answers.scores_I.mean())
        return with_observed(means_S[self.design.strata_N], answers)


def weighted_mean(answers: Answers, design: Design) -> tuple[float, float]:
    """Stratified mean Σ W ȳ, and its standard error √(Σ W² (1 - n/N) s²/n) (Cochran, 1977, ch. 5).

    W is a stratum's share of the items of all strata that were asked. Its variance s² is drawn towards that of all
    answers as if one more answer had said so: a stratum with a single answer, as those of anchors have, is given the
    common variance, which is cautious. That is at least 1/n of the largest that scores can have, so that a few equal
    answers do not pass for certainty.

    Args:
        answers: At least one.
        design: Strata of the pool's items.
    """
    if not len(answers):
        raise EvomergeError("The mean of no answers is not defined. Ask one item or more.")
    asked_I, num_strata = design.strata_N[answers.items_I], int(design.strata_N.max()) + 1
    sizes_S = np.bincount(design.strata_N, minlength=num_strata)
    counts_S = np.bincount(asked_I, minlength=num_strata)
    known_S = np.flatnonzero(counts_S)
    sizes_S, counts_S = sizes_S[known_S], counts_S[known_S]
    scores_I, num_answers = answers.scores_I, len(answers)
    means_S = np.bincount(asked_I, scores_I, num_strata)[known_S] / counts_S
    squares_S = np.bincount(asked_I, scores_I**2, num_strata)[known_S] - counts_S * means_S**2
    least = _largest_sd(np.abs(scores_I).max()) ** 2 / num_answers
    common = max(scores_I.var(ddof=1), least) if num_answers > 1 else least
    variances_S = (np.maximum(squares_S, 0) + common) / counts_S
    shares_S = sizes_S / sizes_S.sum()
    variance = (shares_S**2 * (1 - counts_S / sizes_S) * variances_S / counts_S).sum()
    return float(shares_S @ means_S), math.sqrt(variance)


def _largest_sd(score: float) -> float:
    """Of a score of which only one value is known."""
    return max(1.0, abs(score)) / 2
