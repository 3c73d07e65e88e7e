"""c-optimal blocks: the items that make the estimated score of a merge most certain, given its parents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evomerge.fitness.answers import Answers
from evomerge.fitness.irt.model import Items
from evomerge.fitness.irt.parents import ParentModel
from evomerge.fitness.selectors.base import Chooser


@dataclass(frozen=True, slots=True)
class COptimal:
    """Greedy c-optimal design under the parent-aware model, refitted after every block.

    Each item is the one of largest (gᵀVB)² q / (1 + q BᵀVB), by which asking it lowers the variance gᵀVg of the
    predicted score: V is the covariance of the candidate's effects, B what they do to the item's logit, q = p(1 - p),
    and g = Σ qB over the items not asked yet. Blocks of ten lose nothing against single items.

    Attributes:
        model: Response model of the candidate.
        chooser: Breaks ties.
        block: Items asked before the effects are estimated again.
    """

    model: ParentModel
    chooser: Chooser
    block: int = 10

    design = None

    def next(self, answers: Answers, number: int) -> Items:
        effects_E, covariance_EE = self.model.posterior(answers.items_I, answers.scores_I)
        right_N, design_NE = self.model.probabilities(effects_E), self.model.effects_NE
        spread_N = right_N * (1 - right_N)
        free_N = np.ones(len(right_N), bool)
        free_N[answers.items_I] = False
        unseen_E = spread_N[free_N] @ design_NE[free_N]
        chosen: list[int] = []
        for _ in range(min(number, int(free_N.sum()))):
            reach_NE = design_NE @ covariance_EE
            gains_N = (reach_NE @ unseen_E) ** 2 * spread_N / (1 + spread_N * (reach_NE * design_NE).sum(1))
            gains_N[~free_N] = -np.inf
            item = self.chooser.choose(gains_N, len(answers) + len(chosen))
            chosen.append(item)
            free_N[item] = False
            unseen_E = unseen_E - spread_N[item] * design_NE[item]
            told = spread_N[item] / (1 + spread_N[item] * (reach_NE[item] @ design_NE[item]))
            covariance_EE = covariance_EE - told * np.outer(reach_NE[item], reach_NE[item])
        return np.array(chosen, np.intp)
