"""Abilities of models from their responses: posterior on a grid, most probable value, maximum likelihood."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import minimize

from evomerge.fitness.irt.model import Floats, ItemParameters, information
from evomerge.fitness.irt.newton import mode

GRID_K: Final[Floats] = np.linspace(-4, 4, 41)
"""Nodes of the quadrature over an ability of one dimension."""


def normal(mean: float = 0.0, sd: float = 1.0) -> Floats:
    """Weights of a normal distribution on the grid; they sum to 1."""
    return _normalised(-((GRID_K - mean) ** 2) / (2 * sd**2))


def posterior(parameters: ItemParameters, scores_I: Floats, prior_K: Floats) -> Floats:
    """What is known of an ability of one dimension after some responses, as weights on the grid.

    Args:
        parameters: Of the I items that were answered.
        scores_I: Responses in [0, 1]; between 0 and 1 they count as that share of a right answer.
        prior_K: Weights before.
    """
    right_KI = parameters.probabilities(GRID_K[:, None])
    return _normalised(np.log(prior_K) + np.log(right_KI) @ scores_I + np.log1p(-right_KI) @ (1 - scores_I))


def expected_ability(weights_K: Floats) -> tuple[float, float]:
    """Mean and standard deviation of weights on the grid: the EAP estimate and its standard error."""
    mean = float(GRID_K @ weights_K)
    return mean, float(np.sqrt((GRID_K - mean) ** 2 @ weights_K))


def most_probable(parameters: ItemParameters, scores_I: Floats, mean_D: Floats, precision_DD: Floats) -> Floats:
    """The ability of largest posterior density under a normal prior, by Fisher scoring.

    Args:
        parameters: Of the I items that were answered.
        scores_I: Responses in [0, 1].
        mean_D: Of the prior.
        precision_DD: Inverse covariance of the prior.
    """

    def density(ability_D: Floats) -> tuple[float, Floats, Floats]:
        (right_I,) = parameters.probabilities(ability_D[None])
        pull_D = precision_DD @ (ability_D - mean_D)
        height = _log_likelihood(scores_I, right_I) - float(pull_D @ (ability_D - mean_D)) / 2
        curvature_DD = information(parameters, right_I).sum(0) + precision_DD
        return height, _score(parameters, scores_I, right_I) - pull_D, curvature_DD

    return mode(density, mean_D)[0]


def most_likely(parameters: ItemParameters, scores_I: Floats, basis_PD: Floats | None = None) -> Floats:
    """The ability of largest likelihood, by BFGS from 0 without a prior, as tinyBenchmarks and MERGE³ compute it.

    It runs away where all answers are right or all are wrong; logits are cut at ±30.

    Args:
        parameters: Of the I items that were answered.
        scores_I: Responses in [0, 1].
        basis_PD: Abilities of P parents, of which the ability is to be a linear combination; the search then begins at
            their mean (MERGE³, 2502.10436). Absent: any ability.
    """
    directions_PD = np.eye(parameters.num_dimensions) if basis_PD is None else basis_PD
    start_P = np.zeros(len(directions_PD)) if basis_PD is None else np.full(len(basis_PD), 1 / len(basis_PD))

    def objective(weights_P: Floats) -> tuple[float, Floats]:
        (right_I,) = parameters.probabilities((weights_P @ directions_PD)[None])
        return -_log_likelihood(scores_I, right_I), -directions_PD @ _score(parameters, scores_I, right_I)

    weights_P = minimize(objective, start_P, jac=True, method="BFGS", options={"maxiter": 100}).x
    ability_D: Floats = weights_P @ directions_PD
    return ability_D


def _log_likelihood(scores_I: Floats, right_I: Floats) -> float:
    return float(scores_I @ np.log(right_I) + (1 - scores_I) @ np.log1p(-right_I))


def _score(parameters: ItemParameters, scores_I: Floats, right_I: Floats) -> Floats:
    """Gradient of the log-likelihood over the ability, where the probabilities are `right_I`."""
    gradient_D: Floats = parameters.slopes(right_I).T @ ((scores_I - right_I) / (right_I * (1 - right_I)))
    return gradient_D


def _normalised(log_weights_K: Floats) -> Floats:
    weights_K = np.exp(log_weights_K - log_weights_K.max())
    normalised_K: Floats = weights_K / weights_K.sum()
    return normalised_K
