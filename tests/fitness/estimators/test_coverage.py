"""Standard errors are honest: 95 % intervals hold the score about that often."""

import numpy as np
import pytest

from evomerge.fitness.answers import Pool
from evomerge.fitness.estimators import configs as estimators
from evomerge.fitness.estimators.configs import EstimatorConfig
from evomerge.fitness.estimators.registry import make_estimator
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.fitness.selectors import collect
from evomerge.fitness.selectors import configs as selectors
from evomerge.fitness.selectors.configs import SelectorConfig
from evomerge.fitness.selectors.registry import Draw, make_selector
from evomerge.testing.responses import Scenario, Simulated, simulate


@pytest.fixture(scope="module")
def runs() -> list[tuple[Simulated, Bank]]:
    found = []
    for seed in range(40, 48):
        simulated = simulate(Scenario(num_items=300, num_models=16, num_candidates=12), seed)
        rows = {str(index): row for index, row in enumerate(simulated.models_MN)}
        digests = [f"{index:03}" for index in range(300)]
        found.append((simulated, fit_bank(rows, digests, task="t", task_version="1", metric="acc")))
    return found


@pytest.mark.parametrize(
    ("estimator", "selector", "least"),
    [
        (estimators.MeanConfig(), selectors.RandomConfig(), 0.85),
        (estimators.MeanConfig(), selectors.StratifiedConfig(by="parents"), 0.9),
        (estimators.EapConfig(), selectors.FisherConfig(block=5), 0.85),
        (estimators.ParentConfig(), selectors.StratifiedConfig(by="parents"), 0.9),
        (estimators.ParentConfig(), selectors.COptimalConfig(), 0.9),
    ],
)
def test_intervals_hold_the_score(
    runs: list[tuple[Simulated, Bank]], estimator: EstimatorConfig, selector: SelectorConfig, least: float
) -> None:
    inside, widths = [], []
    for seed, (simulated, bank) in enumerate(runs):
        pool = Pool(300, bank, simulated.parents_PN)
        chosen = make_selector(selector, pool, 30, Draw(seed))
        made = make_estimator(estimator, pool, chosen.design)
        for scores in simulated.candidates_CN:
            estimate = made.estimate(collect(chosen, scores.__getitem__, 30))
            inside.append(abs(estimate.value - scores.mean()) <= 1.96 * estimate.stderr)
            widths.append(estimate.stderr)
    assert np.mean(inside) >= least
    assert np.mean(widths) < 0.1  # not by being vague


def test_the_parents_make_few_items_tell_more(runs: list[tuple[Simulated, Bank]]) -> None:
    pairs: list[tuple[EstimatorConfig, SelectorConfig]] = [
        (estimators.MeanConfig(), selectors.RandomConfig()),
        (estimators.ParentConfig(), selectors.COptimalConfig()),
    ]
    errors: list[list[float]] = [[], []]
    for seed, (simulated, _) in enumerate(runs):
        pool = Pool(300, parents_PN=simulated.parents_PN)
        for found, (estimator, selector) in zip(errors, pairs, strict=True):
            chosen = make_selector(selector, pool, 20, Draw(seed))
            made = make_estimator(estimator, pool, chosen.design)
            for scores in simulated.candidates_CN:
                found.append(abs(made.estimate(collect(chosen, scores.__getitem__, 20)).value - scores.mean()))
    assert np.mean(errors[1]) < 0.5 * np.mean(errors[0])
