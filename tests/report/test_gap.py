"""What was believed beside what was found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.report.gap import believed_of, candidate_of, gaps, in_words
from evomerge.report.yardstick import mean_of_objectives


def test_a_belief_is_the_searchs_own_with_the_error_of_its_items(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    finalist = next(one for one in results.finalists if one.name != "favourite")
    candidate = candidate_of(results, finalist)
    assert candidate is not None
    assert f"candidate {candidate.number}" == finalist.name
    believed, sample = believed_of(results, finalist), mean_of_objectives(results, finalist, "search")
    assert believed is not None
    assert believed.value == pytest.approx(1 - np.mean(candidate.losses))
    assert believed.stderr == pytest.approx(sample.stderr), "all search items were asked, so that only they err"
    assert believed_of(results, results.contenders["favourite"]) is None


def test_what_is_lost_is_belief_less_test(make_run: Callable[..., Any]) -> None:
    for lower in ((), ("math_en", "form_ja")):
        results = make_run(lower_is_better=lower).results
        for gap in gaps(results):
            if gap.loss is None:
                assert gap.contender.name == "favourite"
                continue
            before, after = gap.believed, gap.scores["test"]
            sign = -1 if lower else 1
            assert gap.loss.value == pytest.approx(sign * (before.value - after.value))
            assert gap.loss.stderr == pytest.approx(np.hypot(before.stderr, after.stderr))


def test_finalists_come_first_by_selection(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    found = gaps(results)
    assert [gap.contender.kind for gap in found] == ["finalist"] * len(results.finalists) + ["reference"] * 5
    assert found[0].contender is results.best()
    reference = found[-1]
    assert reference.believed == reference.scores["search"]


def test_the_words_say_how_many_were_tried(make_run: Callable[..., Any], told: Callable[[str], Any]) -> None:
    run, page = told("one")
    text = in_words(run.results)
    assert text is not None
    assert " ".join(text.split()) == page.text("#gap").replace("\u00a0", " ")
    assert "20 candidates" in text
    assert "chosen among 4 finalists" in text
    never = in_words(make_run(only_favourite=True).results)
    assert never is not None
    assert never.startswith("The search tried 14 candidates and never scored it itself; selection items")
    assert "than was believed" not in never
    assert in_words(make_run(splits=("search", "selection"), finished=False).results) is None


def test_the_page_lists_every_gap(told: Callable[[str], Any]) -> None:
    run, page = told("two")
    for gap in gaps(run.results):
        assert gap.contender.name in page.text("#gaps")
        for score in gap.scores.values():
            assert f"{score.value:.3f} ±{score.stderr:.3f}" in page.text("#gaps")
