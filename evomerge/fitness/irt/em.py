"""Marginal maximum a posteriori fits of the 1PL, 2PL and 3PL by EM (Bock and Aitkin, 1981), of one group or two."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from evomerge.fitness.irt.ability import GRID_K, expected_ability, normal
from evomerge.fitness.irt.model import Floats, ItemParameters

UnidimensionalModel: TypeAlias = Literal["1pl", "2pl", "3pl"]

_PRIOR_MEAN: Final[Floats] = np.array([0.0, 0.0, logit(0.2)])
_PRIOR_SD: Final[Floats] = np.array([0.5, 2.0, 0.7])
"""Of log a, b and logit c. Strong enough for eight models; with hundreds the responses outweigh them."""

_LOW: Final[Floats] = np.array([-2.5, -8.0, -6.0])
_HIGH: Final[Floats] = np.array([1.6, 8.0, 0.0])
_LONGEST: Final[Floats] = np.array([0.5, 1.0, 0.5])
_ROUNDS, _NEWTON_STEPS, _TOLERANCE = 100, 3, 1e-3
_NARROWEST: Final = 0.2
"""Least standard deviation of a group's abilities: the distance between nodes of the grid."""


def fit_unidimensional(
    responses_MN: Floats, model: UnidimensionalModel, is_own_M: npt.NDArray[np.bool_] | None = None
) -> ItemParameters:
    """Item parameters of largest posterior density, abilities N(0, 1) integrated out on a grid of 41 nodes.

    Priors: log a ~ N(0, 0.5²), b ~ N(0, 2²), logit c ~ N(logit 0.2, 0.7²). The 1PL has one a for all items.

    Args:
        responses_MN: In [0, 1]; NaN where a model was not asked an item. Shape (M, N).
        model: Which parameters are free.
        is_own_M: Which models are of a second group, such as a run's own candidates, which are alike and mostly better
            than the others. Its abilities are normal too, with a mean and a standard deviation that are estimated
            (Bock and Zimowski, 1997, Multiple group IRT); the first group keeps the scale.
    """
    is_own_M = np.zeros(len(responses_MN), bool) if is_own_M is None else is_own_M
    asked_MN = ~np.isnan(responses_MN)
    right_MN = np.where(asked_MN, responses_MN, 0.0)
    share_N = (right_MN.sum(0) + 1) / (asked_MN.sum(0) + 2)
    # Per item: log a, b, logit c; of the 1PL and 2PL, c is 0 and its logit never moves.
    values_N3 = np.column_stack([np.zeros_like(share_N), -logit(share_N), np.full_like(share_N, _PRIOR_MEAN[2])])
    prior_MK = np.tile(normal(), (len(responses_MN), 1))
    for _ in range(_ROUNDS):
        before_N3 = values_N3
        weights_MK = _expect(right_MN, asked_MN, _parameters(values_N3, model), prior_MK)
        if is_own_M.any():
            prior_MK[is_own_M] = _distribution(weights_MK[is_own_M])
        right_NK, total_NK = right_MN.T @ weights_MK, asked_MN.T @ weights_MK
        for _ in range(_NEWTON_STEPS):
            values_N3 = _newton_step(values_N3, right_NK, total_NK, model)
        if np.abs(values_N3 - before_N3).max() < _TOLERANCE:
            break
    return _parameters(values_N3, model)


def _parameters(values_N3: Floats, model: UnidimensionalModel) -> ItemParameters:
    guesses_N: Floats = expit(values_N3[:, 2]) if model == "3pl" else np.zeros(len(values_N3))
    return ItemParameters(np.exp(values_N3[:, :1]), values_N3[:, 1], guesses_N)


def _distribution(weights_MK: Floats) -> Floats:
    """The normal distribution of a group's abilities, told from each model's posterior; weights on the grid."""
    mean, sd = expected_ability(weights_MK.mean(0))
    return normal(mean, max(sd, _NARROWEST))


def _expect(right_MN: Floats, asked_MN: Floats, parameters: ItemParameters, prior_MK: Floats) -> Floats:
    """Each model's posterior over the grid, shape (M, K)."""
    right_KN = parameters.probabilities(GRID_K[:, None])
    log_MK = right_MN @ np.log(right_KN).T + (asked_MN - right_MN) @ np.log1p(-right_KN).T + np.log(prior_MK)
    weights_MK = np.exp(log_MK - log_MK.max(1, keepdims=True))
    normalised_MK: Floats = weights_MK / weights_MK.sum(1, keepdims=True)
    return normalised_MK


def _newton_step(values_N3: Floats, right_NK: Floats, total_NK: Floats, model: UnidimensionalModel) -> Floats:
    """One step of Fisher scoring on what the E step expects: right answers out of answers at each node."""
    parameters = _parameters(values_N3, model)
    slope_N1, guess_N1 = parameters.discriminations_ND, parameters.guesses_N[:, None]
    p_NK = parameters.probabilities(GRID_K[:, None]).T
    skilled_NK = (p_NK - guess_N1) / (1 - guess_N1)
    rise_NK = (1 - guess_N1) * skilled_NK * (1 - skilled_NK)
    # ∂P over log a, b and logit c.
    partials_N3K = np.stack([rise_NK * slope_N1 * GRID_K, -rise_NK, guess_N1 * (1 - guess_N1) * (1 - skilled_NK)], 1)
    weight_NK = 1 / (p_NK * (1 - p_NK))
    gradient_N3 = np.einsum("nik,nk->ni", partials_N3K, (right_NK - total_NK * p_NK) * weight_NK)
    curvature_N33 = np.einsum("nik,njk,nk->nij", partials_N3K, partials_N3K, total_NK * weight_NK, optimize=True)
    pull_N3, precision_33 = (values_N3 - _PRIOR_MEAN) / _PRIOR_SD**2, np.diag(_PRIOR_SD**-2)
    if model == "1pl":  # the common slope first, from all items together
        gradient = gradient_N3[:, 0].sum() - pull_N3[0, 0]
        curvature = curvature_N33[:, 0, 0].sum() + precision_33[0, 0]
        step_N1 = np.full((len(values_N3), 1), gradient / curvature)
        step_N2 = (gradient_N3 - pull_N3)[:, 1:2] / (curvature_N33[:, 1:2, 1] + precision_33[1, 1])
        step_N3 = np.column_stack([step_N1, step_N2, np.zeros_like(step_N1)])
    else:
        step_N3 = np.linalg.solve(curvature_N33 + precision_33, (gradient_N3 - pull_N3)[..., None])[..., 0]
    stepped_N3: Floats = np.clip(values_N3 + np.clip(step_N3, -_LONGEST, _LONGEST), _LOW, _HIGH)
    return stepped_N3
