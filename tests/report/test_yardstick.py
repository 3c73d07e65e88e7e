"""One number per contender: which scores enter, and in which direction."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.fitness import Estimate
from evomerge.report.yardstick import Yardstick, metric_of, of_objectives, of_tasks

SCORES = {"a": Estimate(0.2, 0.03, 10), "b": Estimate(0.6, 0.04, 20)}
number = st.floats(-10, 10)


def test_the_mean_keeps_the_scores_unit_where_all_point_the_same_way() -> None:
    mean = Yardstick("mean", {"a": True, "b": True}).mean(SCORES)
    assert (mean.value, mean.stderr, mean.num_items) == pytest.approx((0.4, 0.025, 30))
    assert Yardstick("mean", {"a": False, "b": False}).mean(SCORES) == mean


def test_mixed_directions_are_averaged_as_losses() -> None:
    yardstick = Yardstick("mean loss", {"a": True, "b": False})
    assert yardstick.mixed
    assert not yardstick.higher_is_better
    assert yardstick.mean(SCORES).value == pytest.approx((0.8 + 0.6) / 2)


@given(number, number, st.booleans())
def test_gain_is_positive_exactly_when_the_second_is_better(before: float, after: float, up: bool) -> None:
    yardstick = Yardstick("mean", {"a": up})
    assert (yardstick.gain(before, after) > 0) == (after > before if up else after < before)
    assert yardstick.gain(before, after) == -yardstick.gain(after, before)


def test_names_say_what_is_averaged(make_run: Callable[..., Any]) -> None:
    two = make_run(candidates=0, assessed=False).fitness
    assert of_tasks(two).axis == "mean of the 3 tasks (higher is better)"
    assert of_objectives(two).axis == "mean of the 2 objectives (higher is better)"
    assert of_objectives(make_run(objectives=1, candidates=0, assessed=False).fitness).name == 'objective "mean"'
    mixed = make_run(candidates=0, assessed=False, lower_is_better=("form_ja",)).fitness
    assert of_tasks(mixed).axis == "mean loss of the 3 tasks (lower is better)"


def test_a_task_without_objective_has_a_direction_of_its_own(make_run: Callable[..., Any]) -> None:
    fitness = make_run(candidates=0, assessed=False, lower_is_better=("math_ja",)).fitness
    assert of_objectives(fitness).higher_is_better
    assert of_tasks(fitness).directions == {"math_en": True, "form_ja": True, "math_ja": False}
    assert of_tasks(fitness).axis == "mean loss of the 3 tasks (lower is better)"


@pytest.mark.parametrize(("metric", "words"), [("acc", "accuracy"), ("bleu", "bleu")])
def test_metrics_have_plain_words(make_run: Callable[..., Any], metric: str, words: str) -> None:
    fitness = make_run(candidates=0, assessed=False, metric=metric).fitness
    assert metric_of(fitness, ("math_en", "form_ja")) == words
