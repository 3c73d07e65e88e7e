"""Abilities of models from their responses: posterior on a grid, most probable value, maximum likelihood."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import minimize

from evomerge.fitness.irt.model import Floats, ItemParameters, information

GRID_K: Final[Floats] = np.linspace(-4, 4, 41)
"""Nodes of the quadrature over an ability of one dimension."""

_STEPS = 30
_LONGEST_STEP = 2.0


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
    ability_D = mean_D.copy()
    for _ in range(_STEPS):
        gradient_D = _score(parameters, scores_I, ability_D) - precision_DD @ (ability_D - mean_D)
        curvature_DD = information(parameters, ability_D).sum(0) + precision_DD
        step_D = np.linalg.solve(curvature_DD, gradient_D)
        ability_D = ability_D + step_D * min(1, _LONGEST_STEP / (np.linalg.norm(step_D) + 1e-12))
        if np.abs(step_D).max() < 1e-8:
            break
    return ability_D


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
        ability_D = weights_P @ directions_PD
        (right_I,) = parameters.probabilities(ability_D[None])
        fit = scores_I @ np.log(right_I) + (1 - scores_I) @ np.log1p(-right_I)
        return -float(fit), -directions_PD @ _score(parameters, scores_I, ability_D)

    weights_P = minimize(objective, start_P, jac=True, method="BFGS", options={"maxiter": 100}).x
    ability_D: Floats = weights_P @ directions_PD
    return ability_D


def _score(parameters: ItemParameters, scores_I: Floats, ability_D: Floats) -> Floats:
    """Gradient of the log-likelihood."""
    (right_I,) = parameters.probabilities(ability_D[None])
    gradient_D: Floats = parameters.slopes(ability_D).T @ ((scores_I - right_I) / (right_I * (1 - right_I)))
    return gradient_D


def _normalised(log_weights_K: Floats) -> Floats:
    weights_K: Floats = np.exp(log_weights_K - log_weights_K.max())
    return weights_K / weights_K.sum()
