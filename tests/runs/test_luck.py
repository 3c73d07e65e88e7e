"""The luck of the pick, against searches whose true scores are known."""

from collections.abc import Callable

import numpy as np
import pytest

from evomerge.runs.luck import luck_of_the_pick
from evomerge.runs.results import Results


def seen(make_results: Callable[..., Results], seed: int, spread: float) -> tuple[Results, float]:
    """A run of 60 random candidates, and by how much its best score is too good."""
    rng = np.random.default_rng(seed)
    true = np.clip(rng.normal(0.5, spread, 60), 0, 1)
    right = rng.random((60, 100)) < true[:, None]
    results = make_results({}, candidates=[{"a": row.astype(float).tolist()} for row in right])
    best = right.mean(axis=1).argmax()
    return results, float(right[best].mean() - true[best])


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.3])
def test_it_is_near_what_it_should_be(make_results: Callable[..., Results], spread: float) -> None:
    runs = [seen(make_results, seed, spread) for seed in range(8)]
    expected = np.array([luck_of_the_pick(results)[-1] for results, _ in runs])  # type: ignore[index]
    truth = np.array([luck for _, luck in runs])
    noise = 3 * np.hypot(expected.std(), truth.std()) / np.sqrt(len(runs))
    assert expected.mean() == pytest.approx(truth.mean(), abs=max(noise, 0.01))


def test_the_first_candidate_owes_nothing_to_luck(make_results: Callable[..., Results]) -> None:
    luck_N = luck_of_the_pick(seen(make_results, 0, 0.0)[0])
    assert luck_N is not None
    assert luck_N.shape == (60,)
    assert luck_N[0] == 0
    assert luck_N[-1] > 0.05


def test_equal_candidates_leave_nothing_to_luck(make_results: Callable[..., Results]) -> None:
    results = make_results({}, candidates=[{"a": [1.0, 0.0, 1.0, 0.0]}] * 5)
    assert luck_of_the_pick(results) == pytest.approx(np.zeros(5))


def test_it_is_not_told_where_scores_are_no_means_of_answers(make_results: Callable[..., Results]) -> None:
    right, wrong = {"a": [1.0, 0.0] * 10}, {"a": [0.0, 0.0] * 10}
    told = {"references": {"base": wrong, "math": right}, "candidates": [right, wrong]}
    assert luck_of_the_pick(make_results({}, **told)) is not None
    assert luck_of_the_pick(make_results({}, **told, estimator={"name": "parent", "items": 5})) is None
    lost = {"kept": {"forgetting": ["a"], "of": "base"}}
    assert luck_of_the_pick(make_results({}, {"base": wrong}, lost, candidates=[right, wrong])) is None


def test_a_cost_owes_nothing_to_luck(make_results: Callable[..., Results]) -> None:
    rng = np.random.default_rng(0)
    told = {"candidates": [{"a": row.astype(float).tolist()} for row in rng.random((20, 40)) < 0.5]}
    alone = luck_of_the_pick(make_results({}, **told))
    sized = {"a": ["a"], "size": {"cost": "parameters"}}
    same_size = luck_of_the_pick(make_results({}, None, sized, **told, candidate_costs=[{"parameters": 0.5}] * 20))
    assert alone is not None
    assert same_size == pytest.approx(alone / 2)  # the mean of two losses, one of them exact
    ever_larger = [{"parameters": number} for number in range(20)]  # so that the first is the best on every half
    first = luck_of_the_pick(make_results({}, None, sized, **told, candidate_costs=ever_larger))
    assert first is not None
    assert abs(first[-1]) < 0.05


def test_no_candidates_no_luck(make_results: Callable[..., Results]) -> None:
    assert luck_of_the_pick(make_results({"x": {"a": [1.0, 0.0]}})) is None


def test_the_pick_is_among_those_that_hold_all_constraints(make_results: Callable[..., Results]) -> None:
    """Many equal candidates break a constraint and are better than a few that hold it: only the few are lucky."""
    rng = np.random.default_rng(1)
    broken = [{"a": row.astype(float).tolist(), "b": [0.0] * 100} for row in rng.random((60, 100)) < 0.8]
    held = [{"a": row.astype(float).tolist(), "b": [1.0] * 100} for row in rng.random((3, 100)) < 0.4]
    bound = {"constraints": [{"task": "b", "at_least": 0.5}], "objectives": {"a": ["a"]}}
    both = luck_of_the_pick(make_results({}, candidates=[*held, *broken], **bound))
    alone = luck_of_the_pick(make_results({}, candidates=held, **bound))
    assert both is not None
    assert alone is not None
    assert both[:3] == pytest.approx(alone)
    assert both[-1] == pytest.approx(alone[-1], abs=0.02)
    none_holds = luck_of_the_pick(make_results({}, candidates=broken, **bound))
    free = luck_of_the_pick(make_results({}, candidates=broken, objectives={"a": ["a"]}))
    assert none_holds is not None
    assert free is not None
    assert none_holds[-1] == pytest.approx(free[-1], abs=0.03), "all break it alike, so that it tells none apart"
    assert both[-1] < none_holds[-1] / 2
