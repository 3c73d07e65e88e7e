"""MP-IRT and GMP-IRT of MERGE³: the candidate's ability is a combination of its parents'."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evomerge.fitness.answers import Answers, Design, Pool, refuse_outside_unit
from evomerge.fitness.estimators.ability import predicted
from evomerge.fitness.estimators.base import Estimate, exact_when_complete, with_observed
from evomerge.fitness.estimators.means import weighted_mean
from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.ability import most_likely
from evomerge.fitness.irt.model import Floats


@dataclass(frozen=True, slots=True)
class MpIrt:
    """MP-IRT (2502.10436): p-IRT at the most likely θ = Σ λ θ_parent, the observed items weighted by the design.

    The parents' abilities are the most likely ones given all their answers. With more parents than dimensions it is
    p-IRT.
    """

    pool: Pool
    bank: Bank
    design: Design
    parents_PD: Floats

    @classmethod
    def of(cls, pool: Pool, design: Design, user: str = "mp_irt") -> MpIrt:
        """Fit the parents' abilities, once for all candidates.

        Args:
            pool: The items.
            design: Of the selector.
            user: Name of the estimator, for messages.

        Raises:
            ConfigError: If the pool lacks a bank or the parents' scores.
        """
        bank = pool.bank_for(user)
        abilities = [most_likely(bank.parameters, scores_N) for scores_N in pool.parents_for(user)]
        return cls(pool, bank, design, np.array(abilities))

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        refuse_outside_unit(answers.scores_I, "A score")
        ability_D = most_likely(self.bank.parameters.take(answers.items_I), answers.scores_I, self.parents_PD)
        value, variance = predicted(answers, self.pool, self.bank, ability_D)
        seen_share = len(answers) / self.pool.num_items
        mean, _ = weighted_mean(answers, self.design)
        value += seen_share * (mean - float(answers.scores_I.mean()))
        return Estimate(value, math.sqrt(variance), len(answers))

    def expected(self, answers: Answers) -> Floats:
        ability_D = most_likely(self.bank.parameters.take(answers.items_I), answers.scores_I, self.parents_PD)
        return with_observed(self.bank.parameters.probabilities(ability_D[None])[0], answers)


@dataclass(frozen=True, slots=True)
class GmpIrt:
    """GMP-IRT (2502.10436): a fixed share of the weighted mean, the rest MP-IRT.

    Attributes:
        combined: MP-IRT.
        mean_share: c; MERGE³ takes 0.5.
    """

    combined: MpIrt
    mean_share: float = 0.5

    @property
    def pool(self) -> Pool:
        return self.combined.pool

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        mean, mean_stderr = weighted_mean(answers, self.combined.design)
        modelled = self.combined.estimate(answers)
        share = self.mean_share
        return Estimate(
            share * mean + (1 - share) * modelled.value,
            share * mean_stderr + (1 - share) * modelled.stderr,
            len(answers),
        )

    def expected(self, answers: Answers) -> Floats:
        return self.combined.expected(answers)
