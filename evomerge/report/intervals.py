"""Intervals: whether what few items said of the finalists held on all search items."""

from __future__ import annotations

from collections.abc import Iterator

from evomerge.fitness import Estimate
from evomerge.report.gap import candidate_of
from evomerge.runs.results import Results

_WIDTH = 1.96
_ENOUGH = 0.8


def beliefs(results: Results) -> Iterator[tuple[Estimate, float]]:
    """What was believed of a finalist's task from some search items, and its score on all of them."""
    for finalist in results.finalists:
        candidate = candidate_of(results, finalist)
        if candidate is None or not finalist.complete("search"):
            continue
        for label, believed in candidate.estimates.items():
            num_items = len(results.fitness.splits.search.get(label, ()))
            if label in finalist.estimates["search"] and 0 < believed.num_items < num_items:
                yield believed, finalist.estimates["search"][label].value


def in_words(results: Results) -> str | None:
    """How many intervals held, and what to do where they are too few; None where every item was asked."""
    found = list(beliefs(results))
    if not found:
        return None
    held = sum(abs(believed.value - value) <= _WIDTH * believed.stderr for believed, value in found)
    high = sum(believed.value > value for believed, value in found)
    text = (
        f"Of {len(found)} task scores that were told of finalists from some items, {held} have the score on all search "
        f"items within 1.96 standard errors; {high} were too high."
    )
    if held >= _ENOUGH * len(found):
        return text
    return f"{text} These merges are not what their models lead to expect: ask more items, or raise `widening`."
