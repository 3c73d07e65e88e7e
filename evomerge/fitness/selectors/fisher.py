"""Adaptive testing: each item is the one that says most about the ability that the answers so far show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evomerge.fitness.answers import Answers
from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.ability import GRID_K, expected_ability, posterior
from evomerge.fitness.irt.model import Floats, Items, information
from evomerge.fitness.selectors.base import Chooser

_FIRST = 3
"""While fewer items were answered, information is averaged over the posterior; then it is taken at its mean."""


@dataclass(frozen=True, slots=True)
class MaximumInformation:
    """Items of maximum Fisher information (Fluid Benchmarking, 2509.11106; Lord, 1980), in one dimension.

    Attributes:
        bank: Parameters of the pool's items.
        prior_K: The ability beforehand, as weights on the grid.
        information_KN: Of every item at every node.
        chooser: Breaks ties.
        block: Items asked before the ability is estimated again.
    """

    bank: Bank
    prior_K: Floats
    information_KN: Floats
    chooser: Chooser
    block: int = 5

    design = None

    @classmethod
    def of(cls, bank: Bank, prior_K: Floats, chooser: Chooser, block: int = 5) -> MaximumInformation:
        """Work out the information once for all candidates."""
        right_KN = bank.parameters.probabilities(GRID_K[:, None])
        rows = [information(bank.parameters, right_N)[:, 0, 0] for right_N in right_KN]
        return cls(bank, prior_K, np.array(rows), chooser, block)

    def next(self, answers: Answers, number: int) -> Items:
        weights_K = posterior(self.bank.parameters.take(answers.items_I), answers.scores_I, self.prior_K)
        if len(answers) < _FIRST:
            gains_N = weights_K @ self.information_KN
        else:
            node = int(np.abs(GRID_K - expected_ability(weights_K)[0]).argmin())
            gains_N = self.information_KN[node].copy()
        gains_N[answers.items_I] = -np.inf
        chosen: list[int] = []
        for _ in range(min(number, len(gains_N) - len(answers))):
            chosen.append(self.chooser.choose(gains_N, len(answers) + len(chosen)))
            gains_N[chosen[-1]] = -np.inf
        return np.array(chosen, np.intp)
