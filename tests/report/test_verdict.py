"""Whether the chosen merge beats its references, and how that is said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.fitness import Estimate
from evomerge.recipe import Blend, ModelRef, Recipe
from evomerge.recipe.stages import Linear
from evomerge.report.verdict import Difference, Verdict, chosen, gain, listed, verdict
from evomerge.report.yardstick import Yardstick
from evomerge.runs.results import Contender

RECIPE = Recipe(models={"a": ModelRef(path="a")}, blends={"b": Blend(experts=("a",), pipe=(Linear(reduce="sum"),))})


def contender(name: str) -> Contender:
    return Contender(name, "reference", "0", RECIPE)


def said(**gains: tuple[float, float]) -> Verdict:
    differences = [
        Difference(contender(name), Estimate(0.5, 0.01, 9), Estimate(*known, 9)) for name, known in gains.items()
    ]
    ordered = sorted(differences, key=lambda difference: difference.gain.value)
    return Verdict(contender("candidate 7"), Yardstick("mean", {"t": True}), Estimate(0.6, 0.01, 9), tuple(ordered))


def test_a_merge_that_beats_all_is_said_to() -> None:
    found = said(math=(0.1, 0.02), uniform=(0.2, 0.02))
    assert found.headline == "The chosen merge beats every model alone and the uniform merge"
    assert "0.100 ± 0.020 better than the strongest reference, math (0.500 ± 0.010)." in found.sentence
    assert said(math=(0.1, 0.02)).headline == "The chosen merge beats every model alone"


def test_within_two_standard_errors_it_is_not_distinguishable() -> None:
    found = said(math=(0.04, 0.02), ja=(-0.03, 0.02), base=(0.5, 0.02))
    assert found.headline == "The chosen merge is not distinguishable from ja and math"
    assert "0.030 ± 0.020 worse than the strongest reference, ja" in found.sentence
    assert "within two standard errors it is not distinguishable from ja and math" in found.sentence


def test_a_worse_merge_is_called_worse() -> None:
    found = said(math=(-0.1, 0.02), ja=(0.01, 0.02))
    assert found.headline == "The chosen merge does not beat math"
    assert found.sentence.endswith("; it is worse than math.")


def test_without_references_there_is_nothing_to_beat() -> None:
    assert "no reference to compare" in said().headline
    assert said().sentence.startswith("The chosen merge, candidate 7, scores 0.600 ± 0.010")


@given(st.floats(-1, 1), st.floats(0, 1))
def test_outcomes_exclude_one_another(value: float, stderr: float) -> None:
    there, back = (
        Difference(contender("r"), Estimate(0, 0, 1), Estimate(sign * value, stderr, 1)).outcome for sign in (1, -1)
    )
    assert (there, back) in {("better", "worse"), ("worse", "better"), ("not distinguishable",) * 2}
    assert (there == "not distinguishable") == (abs(value) <= 2 * stderr or value == 0)


def test_differences_are_paired_by_item(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    one, other = results.finalists[0], results.contenders["uniform"]
    differences = {
        task: one.responses["test"][task].astype(float) - other.responses["test"][task]
        for task in results.fitness.spec.tasks
    }
    found = gain(results, one, other)
    assert found.value == pytest.approx(np.mean([each.mean() for each in differences.values()]))
    variances = [each.var(ddof=1) / len(each) for each in differences.values()]
    assert found.stderr == pytest.approx(np.sqrt(sum(variances)) / len(variances))
    assert gain(results, other, one).value == pytest.approx(-found.value)
    assert gain(results, one, one) == Estimate(0.0, 0.0, found.num_items)


def test_lower_scores_are_gains_where_lower_is_better(make_run: Callable[..., Any]) -> None:
    results = make_run(lower_is_better=("math_en", "form_ja", "math_ja")).results
    best, base = chosen(results), results.contenders["base"]
    assert best is not None
    assert results.mean_of_tasks(best, "test").value < results.mean_of_tasks(base, "test").value
    assert gain(results, best, base).value > 0


def test_the_strongest_reference_comes_first(make_run: Callable[..., Any]) -> None:
    found = verdict(make_run().results)
    assert found is not None
    values = [difference.score.value for difference in found.differences]
    assert values == sorted(values, reverse=True)
    assert {difference.reference.name for difference in found.differences} == {"base", "math", "ja", "code", "uniform"}


def test_the_choice_is_made_on_the_selection_split(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    best = chosen(results)
    assert best is results.best()
    losses = {one.name: results.mean_loss(one, "selection") for one in results.finalists}
    assert best.name == min(losses, key=losses.__getitem__)


@pytest.mark.parametrize("splits", [(), ("search",), ("search", "selection")])
def test_no_verdict_before_the_test_split_is_scored(make_run: Callable[..., Any], splits: tuple[str, ...]) -> None:
    results = make_run(candidates=10, splits=splits, finished=False).results
    assert verdict(results) is None
    assert (chosen(results) is None) == ("selection" not in splits)


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_read_as_sentences_do(names: list[str], text: str) -> None:
    assert listed(names) == text


def test_the_verdict_says_whether_constraints_hold(make_run: Callable[..., Any]) -> None:
    def said(bound: float) -> str:
        run = make_run(options={"constraints": [{"task": "math_en", "at_least": bound}]})
        found = verdict(run.results)
        assert found is not None
        return found.sentence

    assert said(0.0).endswith(" There it holds all constraints.")
    assert " There it breaks math_en at least 1 (by " in said(1.0)
