"""Simulated responses of calibration models, parents and merges, as those of real merges look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scenario:
    """How responses come about.

    By default parents agree on 80 % of the items, and candidates give their common answer on 97 %, as measured on
    real merges.

    Attributes:
        num_items: N.
        num_models: Calibration models.
        num_candidates: Merges of two parents.
        shared: Correlation of a candidate's residual with its parents'.
        ability_sd: Of a candidate's ability around the combination of its parents'.
        violations: Share of the items that ability hardly moves.
        guessing: Chance of a lucky answer on half of the items.
        common: Share of the parents' residual variance that comes from their common base.
    """

    num_items: int = 1000
    num_models: int = 40
    num_candidates: int = 60
    shared: float = 0.97
    ability_sd: float = 0.2
    violations: float = 0.2
    guessing: float = 0.0
    common: float = 0.7


@dataclass(frozen=True, slots=True)
class Simulated:
    """Right and wrong answers, 1 and 0.

    Attributes:
        models_MN: Of the calibration models.
        parents_PN: Of the two parents.
        candidates_CN: Of their merges.
    """

    models_MN: Floats
    parents_PN: Floats
    candidates_CN: Floats


_NUM_SKILLS = 3
_RESIDUAL_SD = 1.3


def simulate(scenario: Scenario, seed: int) -> Simulated:
    """Draw a set of responses.

    An answer is right where discrimination · ability - difficulty + residual > 0, for abilities of three correlated
    skills. A candidate's ability and residual are combinations of its parents', by weights from a Dirichlet
    distribution, and noise.

    Args:
        scenario: How.
        seed: Of all draws.
    """
    rng = np.random.default_rng(seed)
    num_items = scenario.num_items
    skill_N = rng.integers(0, _NUM_SKILLS, num_items)
    discriminations_NS = np.abs(rng.normal(0, 0.25, (num_items, _NUM_SKILLS)))
    discriminations_NS[np.arange(num_items), skill_N] += np.exp(rng.normal(-0.1, 0.35, num_items))
    difficulties_N = rng.normal(-0.4, 1.2, num_items)
    discriminations_NS[rng.random(num_items) < scenario.violations] *= 0.1
    guesses_N = np.where(rng.random(num_items) < 0.5, scenario.guessing, 0.0)
    mixing_SS = np.linalg.cholesky(0.6 + 0.4 * np.eye(_NUM_SKILLS)).T

    def answer(ability_S: Floats, residual_N: Floats) -> Any:
        skilled_N = discriminations_NS @ ability_S - difficulties_N + _RESIDUAL_SD * residual_N > 0
        return skilled_N | (rng.random(num_items) < guesses_N)

    abilities_MS = rng.normal(size=(scenario.num_models, _NUM_SKILLS)) @ mixing_SS
    models_MN = np.array([answer(ability_S, rng.normal(size=num_items)) for ability_S in abilities_MS], float)
    parents_PS = rng.normal(size=(2, _NUM_SKILLS)) * 0.6 @ mixing_SS + 0.4
    residuals_PN = np.sqrt(scenario.common) * rng.normal(size=num_items)
    residuals_PN = residuals_PN + np.sqrt(1 - scenario.common) * rng.normal(size=(2, num_items))
    parents_PN = np.array([answer(*parent) for parent in zip(parents_PS, residuals_PN, strict=True)], float)
    covariance_PP = scenario.common + (1 - scenario.common) * np.eye(2)
    candidates = []
    for _ in range(scenario.num_candidates):
        weights_P = rng.dirichlet(np.ones(2))
        ability_S = weights_P @ parents_PS + rng.normal(0, scenario.ability_sd, _NUM_SKILLS) + rng.normal(0, 0.15)
        inherited_N = weights_P @ residuals_PN / np.sqrt(weights_P @ covariance_PP @ weights_P)
        own_N = rng.normal(size=num_items)
        residual_N = scenario.shared * inherited_N + np.sqrt(1 - scenario.shared**2) * own_N
        candidates.append(answer(ability_S, residual_N))
    return Simulated(models_MN, parents_PN, np.array(candidates, float))
