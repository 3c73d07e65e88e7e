import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness import Estimate, FitnessSpec, Objectives

TASKS = {name: {"task": name, "metric": "acc"} for name in ("a", "b", "c", "spare")}
UP = dict.fromkeys(TASKS, True)


def spec(**objectives: list[str]) -> FitnessSpec:
    return parse(FitnessSpec, {"evomerge": "fitness/1", "tasks": TASKS, "objectives": objectives}, "f.yaml")


def test_an_objective_is_the_mean_of_its_tasks() -> None:
    objectives = Objectives.of(spec(second=["c"], first=["a", "b"]), UP, "f.yaml")
    estimates = {"a": Estimate(0.5, 0.03, 10), "b": Estimate(0.7, 0.04, 20), "c": Estimate(0.25, 0.1, 5)}
    values = objectives.values(estimates)
    assert objectives.names == ("second", "first") == tuple(values)
    assert values["second"] == estimates["c"]
    assert values["first"].value == pytest.approx(0.6)
    assert values["first"].stderr == pytest.approx(0.025)
    assert values["first"].num_items == 30
    assert objectives.losses(estimates) == pytest.approx((0.75, 0.4))


def test_where_lower_is_better_the_value_is_the_loss() -> None:
    objectives = Objectives.of(spec(nats=["b"], right=["a"]), UP | {"b": False}, "f.yaml")
    assert objectives.higher_is_better == {"nats": False, "right": True}
    losses = objectives.losses({"a": Estimate(0.9, 0, 3), "b": Estimate(2.5, 0, 3)})
    assert losses == pytest.approx((2.5, 0.1))
    assert objectives.from_losses(losses) == pytest.approx((2.5, 0.9))


@given(st.booleans(), st.floats(-50, 50), st.floats(-50, 50))
def test_a_better_value_never_has_a_higher_loss(up: bool, first: float, second: float) -> None:
    objectives = Objectives.of(spec(one=["a"]), UP | {"a": up}, "f.yaml")
    better, worse = (max, min) if up else (min, max)
    losses = [objectives.losses({"a": Estimate(pick(first, second), 0, 1)})[0] for pick in (better, worse)]
    assert losses[0] <= losses[1]


def test_directions_do_not_mix() -> None:
    with pytest.raises(ConfigError) as caught:
        Objectives.of(spec(mixed=["a", "b"], fine=["c"]), UP | {"b": False}, "f.yaml")
    assert str(caught.value) == (
        "f.yaml: objectives.mixed: lower is better for b, higher for the others; their mean says nothing. "
        "Make two objectives."
    )
