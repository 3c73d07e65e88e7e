"""p-IRT, gp-IRT and EAP: predict the items that were not asked from the ability that the answers show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evomerge.fitness.answers import Answers, Design, Pool, refuse_outside_unit
from evomerge.fitness.estimators.base import (
    Estimate,
    exact_when_complete,
    misfit_variance,
    read_out,
    read_out_variance,
    with_observed,
)
from evomerge.fitness.estimators.means import weighted_mean
from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.ability import GRID_K, expected_ability, most_likely, normal, posterior
from evomerge.fitness.irt.model import Floats, information, inverse

_NARROWEST = 0.35
"""Least standard deviation of a candidate's ability around its parents'; merges differ from them by about 0.2."""


@dataclass(frozen=True, slots=True)
class PIrt:
    """p-IRT of tinyBenchmarks (2402.14992, §3): observed items, and the others predicted at the most likely ability.

    The standard error takes abilities to be N(0, I) beforehand, without which a few answers say nothing of some
    directions; the value does not.
    """

    pool: Pool
    bank: Bank

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        refuse_outside_unit(answers.scores_I, "A score")
        ability_D = most_likely(self.bank.parameters.take(answers.items_I), answers.scores_I)
        value, variance = predicted(answers, self.pool, self.bank, ability_D)
        return Estimate(value, math.sqrt(variance), len(answers))

    def expected(self, answers: Answers) -> Floats:
        ability_D = most_likely(self.bank.parameters.take(answers.items_I), answers.scores_I)
        return with_observed(self.bank.parameters.probabilities(ability_D[None])[0], answers)


@dataclass(frozen=True, slots=True)
class GpIrt:
    """gp-IRT of tinyBenchmarks: λ times the weighted mean plus 1 - λ times p-IRT.

    λ = b² / (b² + v / (g n)): b is the bank's error on unseen items, v the variance of a response, g the design's gain
    over random items, n the number of answers (`training_irt.ipynb` of tinyBenchmarks). Both parts see the same
    answers, so their errors are added up as if they always went the same way.
    """

    pool: Pool
    bank: Bank
    design: Design

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        mean, mean_stderr = weighted_mean(answers, self.design)
        modelled = PIrt(self.pool, self.bank).estimate(answers)
        squared_bias = self.bank.provenance.misfit**2
        noise = self.bank.score_variance / (self.design.variance_gain * len(answers))
        share = squared_bias / (squared_bias + noise) if squared_bias else 0.0
        return Estimate(
            share * mean + (1 - share) * modelled.value,
            share * mean_stderr + (1 - share) * modelled.stderr,
            len(answers),
        )

    def expected(self, answers: Answers) -> Floats:
        return PIrt(self.pool, self.bank).expected(answers)


@dataclass(frozen=True, slots=True)
class Eap:
    """p-IRT at every ability of one dimension, averaged over its posterior.

    The prior is normal around the parents' mean ability with their standard deviation, at least 0.35; N(0, 1) where
    they are not known. With few answers it keeps the estimate from running away. With no answer it is the prior's.
    """

    pool: Pool
    bank: Bank
    prior_K: Floats

    @classmethod
    def of(cls, pool: Pool, bank: Bank) -> Eap:
        """With the prior that the pool's parents give."""
        return cls(pool, bank, prior_of_parents(pool, bank))

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        refuse_outside_unit(answers.scores_I, "A score")
        parameters = self.bank.parameters
        weights_K = posterior(parameters.take(answers.items_I), answers.scores_I, self.prior_K)
        right_KN = parameters.probabilities(GRID_K[:, None])
        right_N, unseen_I = weights_K @ right_KN, answers.unseen(self.pool.num_items)
        means_K = right_KN[:, unseen_I].sum(1) / self.pool.num_items
        chance = (weights_K @ (right_KN * (1 - right_KN))[:, unseen_I]).sum() / self.pool.num_items**2
        variance = weights_K @ (means_K - weights_K @ means_K) ** 2 + chance + misfit_variance(answers, self.pool)
        return Estimate(read_out(answers, right_N), math.sqrt(variance), len(answers))

    def expected(self, answers: Answers) -> Floats:
        parameters = self.bank.parameters
        weights_K = posterior(parameters.take(answers.items_I), answers.scores_I, self.prior_K)
        return with_observed(weights_K @ parameters.probabilities(GRID_K[:, None]), answers)


def prior_of_parents(pool: Pool, bank: Bank) -> Floats:
    """A candidate's ability before it answers, as weights on the grid."""
    if pool.parents_PN is None:
        return normal()
    abilities = [expected_ability(posterior(bank.parameters, scores_N, normal()))[0] for scores_N in pool.parents_PN]
    return normal(float(np.mean(abilities)), max(_NARROWEST, float(np.std(abilities))))


def predicted(answers: Answers, pool: Pool, bank: Bank, ability_D: Floats) -> tuple[float, float]:
    """Read-out at an ability, and its variance under a prior N(0, I) of the ability."""
    parameters = bank.parameters
    (right_N,) = parameters.probabilities(ability_D[None])
    precision_DD = np.eye(parameters.num_dimensions)
    precision_DD += information(parameters.take(answers.items_I), right_N[answers.items_I]).sum(0)
    variance = read_out_variance(answers, right_N, parameters.slopes(right_N), inverse(precision_DD))
    return read_out(answers, right_N), variance + misfit_variance(answers, pool)
