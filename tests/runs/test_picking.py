"""Picking: weights, bounds and the knee, ties, and what cannot be met."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from evomerge.errors import ConfigError, EvomergeError
from evomerge.runs.picking import pick
from evomerge.runs.preference import Bound, Preference
from evomerge.runs.results import Results

FRONT = {"ends a": (0.9, 0.1), "bulge": (0.7, 0.6), "ends b": (0.1, 0.9), "behind": (0.5, 0.5)}


def scores(points: dict[str, tuple[float, float]], num_items: int = 10) -> dict[str, dict[str, list[float]]]:
    """As many right answers as the rates say."""

    def right(rate: float) -> list[float]:
        return [1.0] * round(rate * num_items) + [0.0] * round((1 - rate) * num_items)

    return {name: {"a": right(a), "b": right(b)} for name, (a, b) in points.items()}


@pytest.fixture
def front(make_results: Callable[..., Results]) -> Results:
    return make_results(scores(FRONT))


@pytest.mark.parametrize(
    ("preference", "name"),
    [
        (Preference(), "bulge"),
        (Preference(at_knee=True), "bulge"),
        (Preference({"a": 9}), "ends a"),
        (Preference({"a": 0}), "ends b"),
        (Preference({"a": 0, "b": 1}, (Bound("a", 0.3, True),)), "bulge"),
        (Preference({"a": 9}, (Bound("b", 0.55, True), Bound("a", 0.7, True))), "bulge"),
        (Preference(bounds=(Bound("a", 0.4, False),)), "ends b"),
    ],
)
def test_what_is_picked(front: Results, preference: Preference, name: str) -> None:
    found = pick(front, preference, "runs/x")
    assert found.contender.name == name
    assert found.choices[0].key == min(choice.key for choice in found.choices)
    assert not found.tied
    assert {choice.contender.name for choice in found.choices} == set(FRONT)


def test_the_key_is_the_weighted_loss_or_the_scaled_sum(front: Results) -> None:
    keys = {one.contender.name: one.key for one in pick(front, Preference({"a": 3}), "x").choices}
    assert keys == pytest.approx({name: (3 * (1 - a) + (1 - b)) / 4 for name, (a, b) in FRONT.items()})
    keys = {one.contender.name: one.key for one in pick(front, Preference(at_knee=True), "x").choices}
    assert keys["bulge"] == pytest.approx((0.9 - 0.7) / 0.8 + (0.9 - 0.6) / 0.8)
    assert keys["behind"] == keys["ends a"] == np.inf


def test_probabilities_have_closed_forms(make_results: Callable[..., Results]) -> None:
    results = make_results(scores({"x": (0.6, 0.5), "y": (0.4, 0.5)}, 50))
    found = pick(results, Preference({"b": 0}, (Bound("a", 0.5, True),)), "x")
    meets = {choice.contender.name: choice.meets for choice in found.choices}
    stderr = np.sqrt(0.6 * 0.4 / 49)
    assert meets["x"] == pytest.approx(norm.cdf(0.1 / stderr), abs=0.015)
    assert meets["y"] == pytest.approx(norm.cdf(-0.1 / stderr), abs=0.015)
    assert sum(choice.share for choice in found.choices) <= 1
    unbound = {choice.contender.name: choice.share for choice in pick(results, Preference({"b": 0}), "x").choices}
    differences = np.repeat([0.0, 1.0, 0.0], [20, 10, 20])  # y's right answers are among those of x
    assert unbound["x"] == pytest.approx(norm.cdf(0.2 / (differences.std(ddof=1) / np.sqrt(50))), abs=0.015)
    assert sum(unbound.values()) == pytest.approx(1)


def test_ties_are_said_and_broken_by_the_mean_then_by_the_order(make_results: Callable[..., Results]) -> None:
    points = {"first": (0.5, 0.2), "better elsewhere": (0.5, 0.4), "same": (0.5, 0.4)}
    found = pick(make_results(scores(points)), Preference({"a": 1, "b": 0}), "x")
    assert found.contender.name == "better elsewhere"
    assert {one.name for one in found.tied} == {"first", "same"}


def test_lower_is_better_where_it_is(make_results: Callable[..., Results]) -> None:
    nats = {"x": {"a": [3.0, 5.0], "b": [0.0, 0.0]}, "y": {"a": [2.0, 1.0], "b": [0.0, 0.0]}}
    results = make_results(nats, lower_is_better=["a"])
    assert pick(results, Preference(), "x").contender.name == "y"
    assert pick(results, Preference(bounds=(Bound("a", 1.6, False),)), "x").num_eligible == 1
    with pytest.raises(ConfigError, match=r"nobody has a ≤ 1\.4 .* y comes nearest, 0\.1 from it"):
        pick(results, Preference(bounds=(Bound("a", 1.4, False),)), "x")


def test_bounds_on_tasks_that_no_objective_names(make_results: Callable[..., Results]) -> None:
    results = make_results(scores(FRONT), objectives={"only": ["a"]})
    assert pick(results, Preference(), "x").contender.name == "ends a"
    assert pick(results, Preference(bounds=(Bound("b", 0.2, True),)), "x").contender.name == "bulge"


def test_the_runs_own_constraints_hold_in_any_case(make_results: Callable[..., Results]) -> None:
    results = make_results(scores(FRONT), constraints=[{"task": "b", "at_least": 0.8}])
    assert pick(results, Preference({"a": 9}), "x").contender.name == "ends b" == results.best().name
    results = make_results(scores(FRONT), constraints=[{"task": "b", "at_least": 0.95}])
    with pytest.raises(ConfigError, match=r"nobody has b at least 0\.95 on the .* ends b comes nearest, 0\.05 from it"):
        pick(results, Preference(), "x")


def test_bounds_that_exclude_one_another(front: Results) -> None:
    preference = Preference(bounds=(Bound("a", 0.8, True), Bound("b", 0.7, True)))
    with pytest.raises(ConfigError) as raised:
        pick(front, preference, "runs/x")
    message = str(raised.value)
    assert message.startswith("runs/x: nobody has a ≥ 0.8 and b ≥ 0.7 together")
    assert "each alone can be met. bulge comes nearest, 0.1 from a ≥ 0.8 and 0.1 from b ≥ 0.7." in message


def test_a_straight_front_has_no_knee(make_results: Callable[..., Results]) -> None:
    line = {"x": (0.9, 0.1), "middle": (0.5, 0.5), "y": (0.1, 0.9)}
    for points in (line, {name: line[name] for name in ("x", "y")}):
        with pytest.raises(ConfigError, match="it has no knee. Say what you prefer: --weights, or --at-least"):
            pick(make_results(scores(points)), Preference(at_knee=True), "x")


def test_one_that_beats_all_is_its_own_knee(make_results: Callable[..., Results]) -> None:
    results = make_results(scores({"worse": (0.2, 0.2), "best": (0.3, 0.4)}))
    assert pick(results, Preference(at_knee=True), "x").contender.name == "best"


def test_before_the_finals_there_is_nothing_to_pick(make_results: Callable[..., Results]) -> None:
    with pytest.raises(EvomergeError, match="no finalist has been scored on the selection split yet"):
        pick(make_results({}, candidates=[{"a": [1.0]}]), Preference(), "runs/x")
