"""The parent-aware response model: what a merge answers, given what its parents answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from evomerge.fitness.irt.ability import most_probable
from evomerge.fitness.irt.model import Floats, ItemParameters, Items, inverse
from evomerge.fitness.irt.newton import mode

WITH_BANK: Final = (0.256, 0.574, 1.754, 0.817)
WITHOUT_BANK: Final = (0.51, 0.0, 2.18, 1.31)
"""Coefficients of the features, fitted to the public responses of 43 merges of 7 B models with known parents, which may
not be redistributed. With related lineages left out in turn they vary by 0.03 to 0.10."""

_LEVEL_SD, _SLOPE_SD, _LEAN_SD, _BARE_LEVEL_SD = 0.4, 0.5, 0.72**0.5, 0.68
"""Standard deviations of a candidate's own effects; the last is the level's without a bank, where it has to do for the
slope too. Real merges vary by 0.46 in level and in lean; these cover simulated ones of seeds 2000 to 2007
(`benchmarks/estimators.py`). The lean is told per parent: with two parents it moves the difference of their answers by
a normal coefficient of standard deviation 0.6."""

_TRUST_SD = 2.0
"""Of how much more or less a candidate repeats what its parents agree on, per unit of widening above 1. Chosen so that
intervals hold the score of simulated candidates that owe their parents nothing but ability."""

_UNANIMOUS = 0.999


@dataclass(frozen=True, slots=True)
class ParentModel:
    """logit P(right) = offset + effects · u, with the candidate's own u ~ N(0, 1/precision).

    The offset is w · [1, ℓ, s, 1{unanimous} s]: ℓ is the bank's logit at the parents' mean ability (0 without a bank)
    and s in [-1, 1] how many parents are right. Real merges repeat the common answer of parents that agree on
    97 % of the items. A candidate differs from this by its level, by how much that grows with an item's discrimination
    (with a bank only), and by its lean towards each parent.

    Attributes:
        offset_N: float64, one per item of the pool.
        effects_NE: What each of a candidate's effects does to an item's logit, shape (N, E).
        precision_E: Of the effects beforehand.
    """

    offset_N: Floats
    effects_NE: Floats
    precision_E: Floats

    @classmethod
    def of(cls, parents_PN: Floats, parameters: ItemParameters | None = None, widening: float = 1.0) -> ParentModel:
        """The model of the children of some parents.

        Args:
            parents_PN: The parents' scores in [0, 1]; or probabilities, where a parent was not asked everything.
            parameters: Of a bank.
            widening: Factor of the standard deviations of a candidate's effects; above 1, how far it repeats what its
                parents agree on is uncertain too. 2 suits candidates that they do not bracket, such as layer routes.
        """
        agreement_N = 2 * parents_PN.mean(0) - 1
        unanimous_N = np.where(np.abs(agreement_N) > _UNANIMOUS, agreement_N, 0.0)
        lean_NP = (parents_PN - parents_PN.mean(0)).T
        ones_N = np.ones(len(agreement_N))
        if parameters is None:
            own, logit_N, coefficients = [ones_N], 0 * ones_N, WITHOUT_BANK
            deviations = [_BARE_LEVEL_SD]
        else:
            steepness_N = np.linalg.norm(parameters.discriminations_ND, axis=1)
            own, logit_N = [ones_N, steepness_N / steepness_N.mean()], _logits_of_parents(parents_PN, parameters)
            coefficients, deviations = WITH_BANK, [_LEVEL_SD, _SLOPE_SD]
        offset_N = np.column_stack([ones_N, logit_N, agreement_N, unanimous_N]) @ np.array(coefficients)
        deviations_E = widening * np.array(deviations + [_LEAN_SD] * len(parents_PN))
        effects_NE = np.column_stack([*own, lean_NP])
        if widening > 1:
            effects_NE = np.column_stack([effects_NE, agreement_N])
            deviations_E = np.append(deviations_E, _TRUST_SD * (widening - 1))
        return cls(offset_N, effects_NE, deviations_E**-2)

    def probabilities(self, effects_E: Floats) -> Floats:
        """P(right) of every item, for a candidate of known effects; shape (N,)."""
        probabilities_N: Floats = expit(self.offset_N + self.effects_NE @ effects_E)
        return probabilities_N

    def posterior(self, items_I: Items, scores_I: Floats) -> tuple[Floats, Floats]:
        """The most probable effects after some answers, and their covariance (Laplace's approximation).

        Args:
            items_I: Positions of the items that were answered; none gives the prior.
            scores_I: Scores in [0, 1].
        """
        offset_I, design_IE = self.offset_N[items_I], self.effects_NE[items_I]

        def density(effects_E: Floats) -> tuple[float, Floats, Floats]:
            logits_I = offset_I + design_IE @ effects_E
            right_I = expit(logits_I)
            pull_E = self.precision_E * effects_E
            height = scores_I @ logits_I - np.logaddexp(0, logits_I).sum() - pull_E @ effects_E / 2
            curvature_EE = (design_IE * (right_I * (1 - right_I))[:, None]).T @ design_IE + np.diag(self.precision_E)
            return float(height), design_IE.T @ (scores_I - right_I) - pull_E, curvature_EE

        effects_E, curvature_EE = mode(density, np.zeros(len(self.precision_E)))
        return effects_E, inverse(curvature_EE)


def _logits_of_parents(parents_PN: Floats, parameters: ItemParameters) -> Floats:
    """The bank's logits at the parents' mean ability, cut at ±4."""
    num_dimensions = parameters.num_dimensions
    prior = np.zeros(num_dimensions), np.eye(num_dimensions)
    abilities_PD = np.array([most_probable(parameters, scores_N, *prior) for scores_N in parents_PN])
    logits_N: Floats = parameters.logits(abilities_PD.mean(0, keepdims=True))[0].clip(-4, 4)
    return logits_N
