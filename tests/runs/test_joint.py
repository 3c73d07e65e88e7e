"""Joint errors, against formulas for pairs and closed forms of the normal distribution."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from evomerge.runs.joint import Joint, dominance, membership, unbeaten
from evomerge.runs.results import Results

MANY = 0.015
"""Three standard errors of a share of 10,000 draws."""


def joint_of(results: Results) -> Joint:
    return Joint.of(results, results.finalists, "selection")


def answers(seed: int, num_items: int = 200, **rates: float) -> dict[str, dict[str, list[float]]]:
    """Right and wrong answers that go together: one number per item decides them all."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(num_items)
    noise = {name: rng.normal(0, 0.2, num_items) for name in rates}
    return {name: {"a": (hardness + noise[name] < rate).astype(float).tolist()} for name, rate in rates.items()}


def test_the_error_of_a_difference_is_that_of_paired_differences(make_results: Callable[..., Results]) -> None:
    scores = answers(0, x=0.5, y=0.6)
    joint = joint_of(make_results(scores))
    differences = np.array(scores["x"]["a"]) - np.array(scores["y"]["a"])
    covariance = joint.covariance_KK
    found = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found == pytest.approx(differences.var(ddof=1) / len(differences))
    assert found < 0.8 * (covariance[0, 0] + covariance[1, 1]), "errors go together"


def test_tasks_err_together_only_where_they_read_the_same_documents(make_results: Callable[..., Results]) -> None:
    scores = {"x": {"a": [1, 0, 1, 1], "b": [0.9, 0.2, 0.8, 0.6]}}
    apart, same = joint_of(make_results(scores)), joint_of(make_results(scores, harness_task="one"))
    assert apart.covariance_KK[0, 1] == 0
    expected = np.cov(scores["x"]["a"], scores["x"]["b"])[0, 1] / 4
    assert same.covariance_KK[0, 1] == pytest.approx(expected, rel=1e-6)


def test_one_objective_has_a_closed_form(make_results: Callable[..., Results]) -> None:
    scores = answers(1, x=0.5, y=0.57)
    joint = joint_of(make_results(scores))
    losses = joint.losses(joint.draws())
    differences = np.array(scores["y"]["a"]) - np.array(scores["x"]["a"])
    expected = norm.cdf(differences.mean() / (differences.std(ddof=1) / np.sqrt(len(differences))))
    assert 0.6 < expected < 0.99
    assert dominance(losses)[1, 0] == pytest.approx(expected, abs=MANY)
    assert membership(losses)[1] == pytest.approx(expected, abs=MANY)


def test_two_objectives_have_the_corner_of_a_normal(make_results: Callable[..., Results]) -> None:
    a, b = answers(2, x=0.5, y=0.53), answers(3, x=0.5, y=0.51)
    scores = {name: {"a": a[name]["a"], "b": b[name]["a"]} for name in a}
    joint = joint_of(make_results(scores, harness_task="one"))
    differences = np.array([np.array(scores["x"][task]) - np.array(scores["y"][task]) for task in "ab"])
    # x beats y on both: both differences are above 0, that is their negatives below it
    expected = multivariate_normal(-differences.mean(axis=1), np.cov(differences) / 200).cdf([0, 0])
    assert 0.05 < expected < 0.95
    assert dominance(joint.losses(joint.draws()))[0, 1] == pytest.approx(expected, abs=MANY)


def test_the_same_answers_never_dominate_one_another(make_results: Callable[..., Results]) -> None:
    scores = answers(4, x=0.5, y=0.1)
    results = make_results({"x": scores["x"], "twin": scores["x"], "y": scores["y"]})
    joint = joint_of(results)
    losses = joint.losses(joint.draws())
    assert dominance(losses)[:2, :2].tolist() == [[0, 0], [0, 0]]
    assert membership(losses)[:2].tolist() == [1, 1]
    assert membership(losses)[2] == 0


def test_draws_are_the_same_at_every_call_and_have_the_moments(make_results: Callable[..., Results]) -> None:
    joint = joint_of(make_results(answers(5, x=0.3, y=0.6)))
    drawn = joint.draws()
    assert np.array_equal(drawn, joint.draws())
    assert drawn.mean(axis=0) == pytest.approx(joint.means_RT, abs=0.002)
    assert np.cov(drawn[..., 0].T) == pytest.approx(joint.covariance_KK, rel=0.1)


def test_losses_are_those_of_the_objectives(make_results: Callable[..., Results]) -> None:
    scores = {"x": {"a": [1, 0, 1], "b": [2.0, 1.0, 3.5], "c": [0, 0, 1]}}
    results = make_results(scores, objectives={"up": ["a", "c"], "down": ["b"]}, lower_is_better=["b"])
    joint = joint_of(results)
    expected = results.fitness.objectives.losses(results.finalists[0].estimates["selection"])
    assert joint.losses(joint.means_RT[None])[0, 0] == pytest.approx(expected, abs=1e-9)
    assert joint.values(joint.means_RT[None], "c")[0, 0] == pytest.approx(1 / 3, abs=1e-9)


WEIGHTED = {"up": {"tasks": ["a", "c"], "weights": [3, 1]}, "kept": {"forgetting": ["a", "c"], "of": "base"}}


def test_weights_and_what_was_forgotten_are_those_of_the_run(make_results: Callable[..., Results]) -> None:
    finalists = {"x": {"a": [1, 0, 1], "c": [0, 0, 1]}, "y": {"a": [0, 0, 0], "c": [1, 1, 1]}}
    base = {"base": {"a": [1, 1, 1], "c": [0, 1, 0]}}
    constraints = [{"objective": "kept", "at_most": 0.2}, {"task": "a", "at_least": 0.5, "of": "base"}]
    results = make_results(finalists, base, WEIGHTED, constraints=constraints)
    joint = joint_of(results)
    means = joint.means_RT[None]
    for row, finalist in enumerate(results.finalists):
        worth = results.worth(finalist, "selection")
        assert joint.losses(means)[0, row] == pytest.approx(worth.losses, abs=1e-9)
        broken = [violations[0, row] for violations in joint.violations(means).values()]
        assert broken == pytest.approx(worth.violations, abs=1e-9)
    assert list(joint.violations(means)) == ["kept at most 0.2", "a at least 0.5 of base"]
    assert joint.ranking_losses(means)[0, 0] == pytest.approx(joint.losses(means)[0, 0]), "x holds them"
    assert (joint.ranking_losses(means)[0, 1] > joint.losses(means)[0].max()).all(), "y breaks them"


def test_what_was_forgotten_errs_with_the_model_that_knew_it(make_results: Callable[..., Results]) -> None:
    base = {"base": {"a": [1, 0, 1, 0, 1, 1]}}
    results = make_results({"x": base["base"]}, base, {"kept": {"forgetting": ["a"], "of": "base"}})
    joint = joint_of(results)
    assert not joint.values(joint.draws(), "kept").any(), "the same answers lose nothing, whatever the items"


@pytest.mark.parametrize("lower", [[], ["a"]])
def test_the_error_of_what_was_forgotten_is_that_of_the_joint_draws(
    make_results: Callable[..., Results], lower: list[str]
) -> None:
    """A merge mostly errs on the items on which its base errs, so that the errors of the two scores cancel."""
    rng = np.random.default_rng(0)
    base = (rng.random(200) < 0.6).astype(float)
    other = np.where(rng.random(200) < 0.15, rng.random(200) < (0.8 if lower else 0.3), base)
    kept = {"kept": {"forgetting": ["a"], "of": "base"}}
    results = make_results({"x": {"a": other.tolist()}}, {"base": {"a": base.tolist()}}, kept, lower)
    value = results.values(results.contenders["x"], "selection")["kept"]
    joint = joint_of(results)
    assert value.value > 0
    assert value.stderr == pytest.approx(joint.values(joint.draws(), "kept").std(), rel=0.03)
    assert value.stderr < math.hypot(base.std(), other.std()) / math.sqrt(200) / 1.5
    same = results.values(results.contenders["base"], "selection")["kept"]
    assert (same.value, same.stderr) == (0, 0)


def test_a_single_item_is_as_uncertain_as_can_be(make_results: Callable[..., Results]) -> None:
    results = make_results({"x": {"a": [1.0]}})
    assert joint_of(results).covariance_KK[0, 0] == results.finalists[0].estimates["selection"]["a"].stderr ** 2


losses = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)


@given(losses)
def test_dominance_and_membership_agree(points: list[tuple[int, int]]) -> None:
    losses_1CO = np.array([points], float)
    beats = dominance(losses_1CO)
    assert (beats * beats.T == 0).all(), "never both ways"
    assert unbeaten(losses_1CO)[0].tolist() == [not column.any() for column in beats.T]
    assert membership(losses_1CO).max() == 1, "somebody is on the front"
