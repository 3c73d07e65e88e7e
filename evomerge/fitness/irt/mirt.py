"""Joint maximum a posteriori fit of the multidimensional 2PL."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from evomerge.fitness.irt.model import Floats, ItemParameters

_ROUNDS, _RATE = 600, 0.05
_DISCRIMINATION_SD, _DIFFICULTY_SD = 1.0, 2.0


def fit_multidimensional(responses_MN: Floats, num_dimensions: int, seed: int) -> ItemParameters:
    """Item parameters of the multidimensional 2PL of largest joint posterior density with the abilities, by Adam.

    Priors: θ ~ N(0, I), a ~ N(0, I), b ~ N(0, 2²). tinyBenchmarks fits the same model by variational inference under
    hierarchical priors; the joint mode does as well for predicting scores and takes a second for 40 models.

    Args:
        responses_MN: In [0, 1]; NaN where a model was not asked an item. Shape (M, N).
        num_dimensions: D.
        seed: Of the start, which breaks the symmetry between dimensions.
    """
    asked_MN = ~np.isnan(responses_MN)
    right_MN = np.where(asked_MN, responses_MN, 0.0)
    rng = np.random.default_rng(seed)
    a_ND = rng.normal(0, 0.1, (responses_MN.shape[1], num_dimensions))
    a_ND[:, 0] += 0.8  # the first dimension starts as how good a model is at all
    b_N = -logit((right_MN.sum(0) + 1) / (asked_MN.sum(0) + 2))
    theta_MD = rng.normal(0, 0.1, (len(responses_MN), num_dimensions))
    means_M = right_MN.sum(1) / np.maximum(asked_MN.sum(1), 1)
    theta_MD[:, 0] += (means_M - means_M.mean()) / (means_M.std() + 1e-9)
    values = [a_ND, b_N, theta_MD]
    momenta, squares = [np.zeros_like(value) for value in values], [np.zeros_like(value) for value in values]
    for step in range(1, _ROUNDS + 1):
        surplus_MN = asked_MN * (right_MN - expit(theta_MD @ a_ND.T - b_N))
        gradients = [
            surplus_MN.T @ theta_MD - a_ND / _DISCRIMINATION_SD**2,
            -surplus_MN.sum(0) - b_N / _DIFFICULTY_SD**2,
            surplus_MN @ a_ND - theta_MD,
        ]
        for value, gradient, momentum, square in zip(values, gradients, momenta, squares, strict=True):
            momentum += 0.1 * (gradient - momentum)
            square += 0.001 * (gradient**2 - square)
            value += _RATE * (momentum / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return ItemParameters(a_ND, b_N, np.zeros(len(b_N)))
