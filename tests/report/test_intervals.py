"""Whether what few items said held."""

from collections.abc import Callable
from typing import Any

import pytest

from evomerge.fitness import Estimate
from evomerge.report.gap import candidate_of
from evomerge.report.intervals import in_words
from evomerge.runs.results import Results


def told(results: Results, believed: list[Estimate], full: list[float]) -> Results:
    """The run, had its finalists been told these scores of one task, and reached those on all of its search items."""
    finalists = [finalist for finalist in results.finalists if finalist.name != "favourite"]
    for finalist, belief, value in zip(finalists, believed, full, strict=True):
        candidate = candidate_of(results, finalist)
        assert candidate is not None
        candidate.estimates = {"math_en": belief}
        finalist.estimates["search"] = {"math_en": Estimate(value, 0.0, 100)}
    return results


@pytest.mark.parametrize(
    ("full", "held", "high"),
    [([0.5, 0.5, 0.5, 0.5], 4, 2), ([0.5, 0.5, 0.25, 0.3], 2, 4), ([0.9, 0.9, 0.9, 0.9], 0, 0)],
)
def test_intervals_are_counted(make_run: Callable[..., Any], full: list[float], held: int, high: int) -> None:
    believed = [Estimate(value, 0.06, 20) for value in (0.55, 0.51, 0.45, 0.49)]
    text = in_words(told(make_run(candidates=6, num_items=100).results, believed, full))
    assert text is not None
    assert f"Of 4 task scores that were told of finalists from some items, {held} have" in text
    assert f"; {high} were too high." in text
    assert ("raise `widening`" in text) == (held < 3.2)


def test_where_every_item_was_asked_there_is_nothing_to_say(make_run: Callable[..., Any]) -> None:
    assert in_words(make_run().results) is None
