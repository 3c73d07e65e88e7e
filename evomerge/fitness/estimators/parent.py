"""The parent-aware estimator: observed items, and the others predicted from what the parents answered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from evomerge.fitness.answers import Answers, Pool, refuse_outside_unit
from evomerge.fitness.estimators.base import (
    Estimate,
    exact_when_complete,
    read_out,
    read_out_variance,
    with_observed,
)
from evomerge.fitness.irt.model import Floats
from evomerge.fitness.irt.parents import ParentModel

_MISFIT_SD: Final = 0.015
"""Standard deviation of the mean error on unseen items that the model's own posterior does not know of. Measured on
simulated candidates (`benchmarks/estimators.py`, seeds 2000 to 2007): root mean square error against posterior."""


@dataclass(frozen=True, slots=True)
class ParentAware:
    """Read-out of the parent-aware response model at a candidate's most probable effects.

    Needs no bank; with one it ranks better from few items. The answers may come from any items, and c-optimal blocks
    say most. Without an answer, the estimate is what the parents lead to expect.
    """

    pool: Pool
    model: ParentModel

    @exact_when_complete
    def estimate(self, answers: Answers) -> Estimate:
        refuse_outside_unit(answers.scores_I, "A score")
        effects_E, covariance_EE = self.model.posterior(answers.items_I, answers.scores_I)
        right_N = self.model.probabilities(effects_E)
        slopes_NE = self.model.effects_NE * (right_N * (1 - right_N))[:, None]
        variance = read_out_variance(answers, right_N, slopes_NE, covariance_EE)
        variance += (_MISFIT_SD * (1 - len(answers) / self.pool.num_items)) ** 2
        return Estimate(read_out(answers, right_N), math.sqrt(variance), len(answers))

    def expected(self, answers: Answers) -> Floats:
        effects_E, _ = self.model.posterior(answers.items_I, answers.scores_I)
        return with_observed(self.model.probabilities(effects_E), answers)
