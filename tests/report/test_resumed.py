"""A run that went on after it was complete: what its report takes from the log."""

from collections.abc import Callable
from typing import Any

from evomerge.documents import tree_of
from evomerge.report.summary import status
from evomerge.runs import Asked, Assessed
from evomerge.runs.results import Results


def test_a_complete_run_with_a_larger_budget_goes_on(make_run: Callable[..., Any]) -> None:
    run = make_run(candidates=8, budget=8, assessed=False)
    assert run.results.finished == "the budget is spent"
    run.log.append(Asked(8, (0.5,), "0" * 64))
    assert status(Results(run.log, run.fitness), 20).startswith("Not complete: 8 of 20 candidates scored.")


def test_a_new_favourite_takes_the_place_of_the_old_one(make_run: Callable[..., Any]) -> None:
    run = make_run(candidates=8)
    first, other = run.results.contenders["favourite"], run.results.finalists[0]
    items, tree = run.fitness.items("search"), tree_of(other.recipe)
    run.log.append(Assessed("favourite", "finalist", "search", other.digest, tree, items, other.responses["search"]))
    again = Results(run.log, run.fitness).contenders["favourite"]
    assert first.digest != other.digest
    assert again.digest == again.recipe.digest == other.digest
    assert not again.complete("test"), "the old favourite's scores are not the new one's"
