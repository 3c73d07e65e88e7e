"""What finalists solve together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.report.coverage import coverage
from evomerge.report.figures.niches import niches


def test_coverage_counts_items_and_entropy_their_split(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    for one in coverage(results):
        solved = np.array([finalist.responses["test"][one.task] for finalist in results.finalists])
        assert one.num_items == 60
        assert one.finalists == pytest.approx(np.mean(solved.max(axis=0)))
        assert one.best == pytest.approx(max(solved.mean(axis=1)))
        assert one.chosen <= one.best <= one.finalists
        shares = solved.mean(axis=0)
        split = shares[(shares > 0) & (shares < 1)]
        bits = -(split * np.log2(split) + (1 - split) * np.log2(1 - split)).sum() / 60
        assert one.entropy == pytest.approx(bits, abs=1e-6)
        references = np.array([reference.responses["test"][one.task] for reference in results.references])
        assert one.references == pytest.approx(np.mean(references.max(axis=0)))


def test_only_what_is_solved_or_not_is_counted(make_run: Callable[..., Any]) -> None:
    assert [one.task for one in coverage(make_run(lower_is_better=("form_ja",)).results)] == ["math_en", "math_ja"]
    assert niches(make_run(lower_is_better=("math_en", "form_ja", "math_ja")).results) is None
    assert niches(make_run(only_favourite=True).results) is None
    assert niches(make_run(assessed=False).results) is None


def test_the_figure_names_the_tasks(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    found = page.texts["#figure-niches"]
    assert {"math_en (60)", "any finalist", "any reference", "the chosen merge"} <= set(found)
    for one in coverage(run.results):
        assert f"{one.entropy:.2f} bit" in found
