import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import parse, tree_of
from evomerge.errors import ConfigError, EvomergeError
from evomerge.fitness import Estimate, FitnessSpec, Objectives
from evomerge.fitness.objectives import costs_as_estimates

TASKS = {name: {"task": name, "metric": "acc"} for name in ("a", "b", "c", "spare")}
UP = dict.fromkeys(TASKS, True)
BASE = {"a": Estimate(0.8, 0.03, 10), "b": Estimate(0.5, 0.04, 20)}

scores = st.floats(-50, 50)
errors = st.floats(0, 5)
estimates = st.builds(Estimate, scores, errors, st.integers(1, 9))


def spec(**objectives: Any) -> FitnessSpec:
    return parse(FitnessSpec, {"evomerge": "fitness/1", "tasks": TASKS, "objectives": objectives}, "f.yaml")


def of(directions: dict[str, bool] = UP, **objectives: Any) -> Objectives:
    return Objectives.of(spec(**objectives), directions, "f.yaml")


def test_an_objective_is_the_mean_of_its_tasks() -> None:
    objectives = of(second=["c"], first=["a", "b"])
    given = {"a": Estimate(0.5, 0.03, 10), "b": Estimate(0.7, 0.04, 20), "c": Estimate(0.25, 0.1, 5)}
    values = objectives.values(given)
    assert objectives.names == ("second", "first") == tuple(values)
    assert objectives.members == {"second": ("c",), "first": ("a", "b")}
    assert values["second"] == given["c"]
    assert values["first"].value == pytest.approx(0.6)
    assert values["first"].stderr == pytest.approx(0.025)
    assert values["first"].num_items == 30
    assert objectives.losses(given) == pytest.approx((0.75, 0.4))
    assert objectives.errors(given) == pytest.approx((0.1, 0.025))


def test_weights_say_how_much_a_task_counts() -> None:
    given = {"a": Estimate(0.5, 0.03, 10), "b": Estimate(0.8, 0.04, 20)}
    (value,) = of(one={"tasks": ["a", "b"], "weights": [2, 1]}).values(given).values()
    assert value.value == pytest.approx(0.6)
    assert value.stderr == pytest.approx(math.sqrt(0.06**2 + 0.04**2) / 3)
    assert of(one={"tasks": ["a", "b"]}).values(given) == of(one=["a", "b"]).values(given)


@given(st.lists(st.tuples(scores, st.floats(1e-3, 1e3)), min_size=1, max_size=3), st.floats(1e-2, 1e2))
def test_only_the_ratios_of_weights_matter(pairs: list[tuple[float, float]], factor: float) -> None:
    labels = list(TASKS)[: len(pairs)]
    given = {label: Estimate(value, 0.1, 1) for label, (value, _) in zip(labels, pairs, strict=True)}
    first, second = (
        of(one={"tasks": labels, "weights": [scale * weight for _, weight in pairs]}).values(given)["one"]
        for scale in (1, factor)
    )
    assert first.value == pytest.approx(second.value, abs=1e-9)
    assert first.stderr == pytest.approx(second.stderr)


def test_what_was_forgotten_is_not_made_up_for_elsewhere() -> None:
    objectives = of(kept={"forgetting": ["a", "b"], "of": "base"})
    after = {"a": Estimate(0.7, 0.04, 10), "b": Estimate(0.9, 0.03, 20)}
    (value,) = objectives.values(after, {"base": BASE}).values()
    assert value.value == pytest.approx(0.05)
    assert value.num_items == 30
    assert objectives.higher_is_better == {"kept": False}
    assert objectives.losses(after, {"base": BASE}) == (value.value,)
    assert objectives.values(BASE, {"base": BASE})["kept"].value == 0


def test_where_lower_is_better_a_rise_is_forgotten() -> None:
    objectives = of(dict.fromkeys(TASKS, False), kept={"forgetting": ["a"], "of": "base"})
    values = [objectives.losses({"a": Estimate(nats, 0, 1)}, {"base": {"a": Estimate(2.0, 0, 1)}}) for nats in (1.5, 3)]
    assert values == [(0,), (1,)]


@pytest.mark.parametrize("loss", [-0.3, -0.06, 0.0, 0.04, 0.3])
def test_the_error_of_forgetting_is_that_of_a_loss_cut_off_at_nothing(loss: float) -> None:
    draws_N = np.random.default_rng(0).normal(loss, 0.05, 200_000).clip(min=0)
    after = {"a": Estimate(0.8 - loss, 0.04, 10)}
    (error,) = of(kept={"forgetting": ["a"], "of": "base"}).errors(after, {"base": BASE})
    assert error == pytest.approx(draws_N.std(), rel=0.02, abs=1e-6)


def test_a_model_whose_scores_are_not_known_is_named() -> None:
    with pytest.raises(EvomergeError, match=r"^A candidate is compared with base, whose own scores are not known here"):
        of(kept={"forgetting": ["a"], "of": "base"}).losses(BASE)


def test_where_lower_is_better_the_value_is_the_loss() -> None:
    objectives = of(UP | {"b": False}, nats=["b"], right=["a"])
    assert objectives.higher_is_better == {"nats": False, "right": True}
    losses = objectives.losses({"a": Estimate(0.9, 0, 3), "b": Estimate(2.5, 0, 3)})
    assert losses == pytest.approx((2.5, 0.1))
    assert objectives.from_losses(losses) == pytest.approx((2.5, 0.9))


@given(st.booleans(), st.floats(-50, 50), st.floats(-50, 50))
def test_a_better_value_never_has_a_higher_loss(up: bool, first: float, second: float) -> None:
    objectives = of(UP | {"a": up}, one=["a"], two={"forgetting": ["a"], "of": "base"})
    better, worse = (max, min) if up else (min, max)
    base = {"base": {"a": Estimate(1.0, 0.1, 1)}}
    good, bad = (objectives.losses({"a": Estimate(pick(first, second), 0, 1)}, base) for pick in (better, worse))
    assert good[0] <= bad[0]
    assert good[1] <= bad[1]


@given(st.fixed_dictionaries(dict.fromkeys(TASKS, estimates)), st.fixed_dictionaries({"a": estimates}))
def test_losses_and_their_errors_are_finite(given_: dict[str, Estimate], base: dict[str, Estimate]) -> None:
    heavy = {"tasks": ["a", "b"], "weights": [1e6, 1e-300]}
    objectives = of(one=heavy, two={"forgetting": ["a"], "of": "base"})
    assert all(math.isfinite(loss) for loss in objectives.losses(given_, {"base": base}))
    assert all(0 <= error < math.inf for error in objectives.errors(given_, {"base": base}))


def test_what_a_merge_costs_is_known_exactly() -> None:
    objectives = of(skill=["a"], size={"cost": "parameters"}, depth={"cost": "layers"})
    given = {"a": Estimate(0.75, 0.1, 3)} | costs_as_estimates({"parameters": 0.8, "layers": 1.25})
    assert objectives.losses(given) == (0.25, 0.8, 1.25)
    assert objectives.errors(given) == (0.1, 0, 0)
    assert objectives.higher_is_better == {"skill": True, "size": False, "depth": False}
    assert objectives.members["size"] == ()


@pytest.mark.parametrize("mixed", [["a", "b"], {"forgetting": ["a", "b"], "of": "base"}])
def test_directions_do_not_mix(mixed: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        of(UP | {"b": False}, mixed=mixed, fine=["c"])
    assert str(caught.value) == (
        "f.yaml: objectives.mixed: lower is better for b, higher for the others; their mean says nothing. "
        "Make two objectives."
    )


def test_every_form_is_written_as_it_is_read() -> None:
    document = spec(one=["a"], two={"tasks": ["a", "b"], "weights": [2, 1]}, three={"forgetting": ["c"], "of": "base"})
    assert parse(FitnessSpec, tree_of(document), "f.yaml") == document


def test_weights_and_what_is_forgotten_move_objectives_by_their_shares() -> None:
    tasks = {name: {"task": name, "metric": "acc"} for name in "xyz"}
    objectives = {"skill": {"tasks": ["x", "y"], "weights": [3, 1]}, "lost": {"forgetting": ["z"], "of": "base"}}
    objectives |= {"size": {"cost": "layers"}}
    spec = parse(FitnessSpec, {"evomerge": "fitness/1", "tasks": tasks, "objectives": objectives}, "fit.yaml")
    found = Objectives.of(spec, dict.fromkeys("xyz", True), "fit.yaml").shares
    assert found == {"skill": {"x": 0.75, "y": 0.25}, "lost": {"z": 1.0}, "size": {}}
