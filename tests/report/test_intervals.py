"""Whether what few items said held."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from evomerge.fitness import Estimate
from evomerge.report.intervals import in_words
from evomerge.runs.results import Results


def results_of(believed: list[Estimate], full: list[float]) -> Any:
    """Finalists of one task with 100 search items."""
    finalists = [
        SimpleNamespace(
            digest=str(number), estimates={"search": {"math": Estimate(value, 0.0, 100)}}, complete=lambda split: True
        )
        for number, value in enumerate(full)
    ]
    scored = [SimpleNamespace(digest=str(n), estimates={"math": one}) for n, one in enumerate(believed)]
    splits = SimpleNamespace(search={"math": tuple(range(100))})
    return SimpleNamespace(finalists=finalists, scored=scored, fitness=SimpleNamespace(splits=splits))


@pytest.mark.parametrize(
    ("full", "held", "high"),
    [([0.5, 0.5, 0.5, 0.5], 4, 2), ([0.5, 0.5, 0.25, 0.3], 2, 4), ([0.9, 0.9, 0.9, 0.9], 0, 0)],
)
def test_intervals_are_counted(full: list[float], held: int, high: int) -> None:
    believed = [Estimate(value, 0.06, 20) for value in (0.55, 0.51, 0.45, 0.49)]
    text = in_words(results_of(believed, full))
    assert text is not None
    assert f"Of 4 task scores that were told of finalists from some items, {held} have" in text
    assert f"; {high} were too high." in text
    assert ("raise `widening`" in text) == (held < 3.2)


def test_where_every_item_was_asked_there_is_nothing_to_say(make_run: Callable[..., Any]) -> None:
    assert in_words(results_of([Estimate(0.5, 0.0, 100)], [0.5])) is None
    results: Results = make_run().results
    assert in_words(results) is None
