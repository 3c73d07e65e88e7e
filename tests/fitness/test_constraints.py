from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import parse
from evomerge.errors import EvomergeError
from evomerge.fitness import Estimate, FitnessSpec, Objectives
from evomerge.fitness.constraints import violations
from evomerge.fitness.goals import Constraint

TASKS = {name: {"task": name, "metric": "acc"} for name in ("a", "b")}
BASE = {"a": Estimate(0.8, 0.03, 10), "b": Estimate(0.5, 0.04, 20)}
OURS = {"a": Estimate(0.7, 0.03, 10), "b": Estimate(0.4, 0.04, 20)}


def broken(
    *constraints: dict[str, Any], ours: dict[str, Estimate] = OURS, models: dict[str, dict[str, Estimate]] | None = None
) -> tuple[float, ...]:
    tree = {
        "evomerge": "fitness/1",
        "tasks": TASKS,
        "objectives": {"mean": ["a", "b"], "kept": {"forgetting": ["b"], "of": "base"}},
        "constraints": constraints,
    }
    spec = parse(FitnessSpec, tree, "f.yaml")
    objectives = Objectives.of(spec, dict.fromkeys(TASKS, True), "f.yaml")
    return violations(spec.constraints, objectives, ours, {"base": BASE} if models is None else models)


def test_a_violation_is_what_is_missing() -> None:
    found = broken(
        {"task": "a", "at_least": 0.6},
        {"task": "a", "at_least": 0.75},
        {"task": "b", "at_most": 0.3},
        {"task": "a", "at_least": 0.95, "of": "base"},
        {"task": "b", "at_most": 0.9, "of": "base"},
        {"objective": "mean", "at_least": 0.6},
        {"objective": "mean", "at_least": 0.8, "of": "base"},
        {"objective": "kept", "at_most": 0.02},
    )
    assert found == pytest.approx((-0.1, 0.05, 0.1, 0.06, -0.05, 0.05, -0.03, 0.08))


def test_of_what_is_below_zero_a_share_is_lower_still() -> None:
    models = {"base": {"a": Estimate(-2.0, 0, 1), "b": Estimate(0, 0, 1)}}
    constraints = {"task": "a", "at_least": 0.95, "of": "base"}, {"task": "a", "at_most": 1.05, "of": "base"}
    for value, expected in ((-2.1, (0, -0.2)), (-2.2, (0.1, -0.3)), (-1.9, (-0.2, 0))):
        ours = {"a": Estimate(value, 0, 1), "b": Estimate(0, 0, 1)}
        assert broken(*constraints, ours=ours, models=models) == pytest.approx(expected)


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 3), st.sampled_from(["at_least", "at_most"]))
def test_a_model_holds_what_is_measured_by_itself(value: float, model: float, share: float, side: str) -> None:
    constraint = parse(Constraint, {"task": "a", side: share, "of": "base"}, "f")
    holds = share <= 1 if side == "at_least" else share >= 1
    assert (constraint.violation(model, model) <= 0) == (holds or model == 0)
    worse = constraint.violation(value, model) > 0
    bound = model + (share - 1) * abs(model)
    assert worse == (value < bound if side == "at_least" else value > bound)


def test_a_model_whose_scores_are_not_known_is_named() -> None:
    with pytest.raises(EvomergeError, match="compared with base, whose own scores are not known here"):
        broken({"task": "a", "at_least": 0.95, "of": "base"}, models={})


def test_it_says_what_it_is() -> None:
    assert parse(Constraint, {"task": "a", "at_least": 0.95, "of": "base"}, "f").text == "a at least 0.95 of base"
    assert parse(Constraint, {"objective": "mean", "at_most": 0}, "f").text == "mean at most 0"
