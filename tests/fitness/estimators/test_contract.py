"""What holds for every estimator, whatever selector chose the items."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from evomerge.fitness import subset_mean
from evomerge.fitness.answers import Answers, Design, Pool
from evomerge.fitness.estimators import Estimator
from evomerge.fitness.estimators.registry import ESTIMATORS, make_estimator
from evomerge.fitness.irt import Bank
from evomerge.fitness.selectors import Selector, collect
from evomerge.testing.responses import Simulated

Pair = Callable[[int], tuple[Estimator, Selector]]


def test_once_all_items_were_asked_the_score_is_exact(pair: Pair, simulated: Simulated) -> None:
    estimator, selector = pair(20)
    scores = simulated.candidates_CN[3].astype(np.float32)
    for full in (scores, np.float32(0.1) + scores * np.float32(0.7)):  # halves of points too
        answers = collect(selector, full.__getitem__, len(full))
        assert estimator.estimate(answers).value == subset_mean(full).value
        assert estimator.estimate(answers).stderr == 0


def test_an_estimate_is_a_score_with_an_error(pair: Pair, simulated: Simulated) -> None:
    estimator, selector = pair(20)
    for scores in [*simulated.candidates_CN[:4], np.zeros(160), np.ones(160)]:
        answers = collect(selector, scores.__getitem__, 20)
        estimate = estimator.estimate(answers)
        assert 0 <= estimate.value <= 1
        assert 0 <= estimate.stderr < 0.5
        assert math.isfinite(estimate.stderr)
        assert estimate.num_items == 20


def test_more_items_leave_less_error(pair: Pair, simulated: Simulated) -> None:
    errors = []
    for number in (20, 140):
        estimator, selector = pair(number)
        found = [
            estimator.estimate(collect(selector, row.__getitem__, number)).value for row in simulated.candidates_CN
        ]
        errors.append(np.abs(np.array(found) - simulated.candidates_CN.mean(1)).mean())
    assert errors[1] < errors[0]
    assert errors[1] < 0.03


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_better_candidate_never_looks_worse(name: str, pool: Pool, simulated: Simulated) -> None:
    rng = np.random.default_rng(2)
    estimator = make_estimator(ESTIMATORS[name].config(), pool, Design(np.zeros(160, np.intp)))
    for worse in simulated.candidates_CN[:6]:
        items = rng.permutation(160)[:30]
        better = np.maximum(worse[items], rng.random(30) < 0.2)
        low, high = (estimator.estimate(Answers.none().also(items, scores)) for scores in (worse[items], better))
        assert high.value >= low.value - 1e-6


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_order_of_the_items_has_no_say(name: str, pool: Pool, bank: Bank, simulated: Simulated) -> None:
    order = np.random.default_rng(4).permutation(160)
    digests = [bank.provenance.items[item] for item in order]
    turned = Pool(160, bank.of(digests, "bank"), simulated.parents_PN[:, order])
    strata = np.arange(160) % 4
    asked = np.arange(25)
    scores = simulated.candidates_CN[0, order][asked]
    straight_estimator = make_estimator(ESTIMATORS[name].config(), pool, Design(strata))
    turned_estimator = make_estimator(ESTIMATORS[name].config(), turned, Design(strata[order]))
    straight = straight_estimator.estimate(Answers.none().also(order[asked], scores))
    moved = turned_estimator.estimate(Answers.none().also(asked, scores))
    assert moved.value == pytest.approx(straight.value, abs=1e-5)
    assert moved.stderr == pytest.approx(straight.stderr, abs=1e-5)
