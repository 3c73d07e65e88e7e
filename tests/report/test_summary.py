"""What happened, counted, and what cannot be shown yet."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.report.summary import Failures, duration, facts, failures, missing, status


def test_failures_are_grouped_by_reason_but_for_numbers(make_run: Callable[..., Any]) -> None:
    run = make_run(failures=(2, 3, 9), failure="OutOfMemoryError: tried to allocate 20.5 MiB", assessed=False)
    assert failures(run.results) == [Failures("OutOfMemoryError: tried to allocate 20.5 MiB", (2, 3, 9))]
    assert failures(make_run(candidates=4, assessed=False).results) == []


def test_the_most_frequent_failure_comes_first(make_run: Callable[..., Any]) -> None:
    results = make_run(failures=(1, 2, 3), failure="a 1", assessed=False, candidates=8).results
    results.candidates[1].failure = "something else"
    assert [group.numbers for group in failures(results)] == [(2, 3), (1,)]


def test_counts_add_up(make_run: Callable[..., Any]) -> None:
    run = make_run(failures=(3, 11), twins=(5,), budget=40)
    found = facts(run.results, 40)
    assert found["candidates tried"] == "14 of 40"
    assert found["failed"] == "2"
    assert found["duplicates"].startswith("1 (")
    assert found["per candidate"] == "1.5 s to merge and score"
    assert found["finalists"] == str(len(run.results.finalists))
    assert "in flight" not in found


def test_candidates_in_flight_are_counted_while_the_run_goes_on(make_run: Callable[..., Any]) -> None:
    run = make_run(in_flight=2, finished=False, assessed=False)
    assert facts(run.results, 40)["in flight"] == "2"
    assert "in flight" not in facts(make_run(in_flight=2, assessed=False).results, 40)


@pytest.mark.parametrize(
    ("story", "text"),
    [
        ({"assessed": False}, "Complete: the budget is spent."),
        ({"assessed": False, "finished": False, "budget": 40}, "Not complete: 14 of 40 candidates scored."),
        ({"assessed": False, "finished": False}, "Not complete: the search is done; its finalists are being scored"),
    ],
)
def test_the_status_says_where_the_run_stands(make_run: Callable[..., Any], story: dict[str, Any], text: str) -> None:
    run = make_run(**story)
    assert status(run.results, run.settings.candidates).startswith(text)


@pytest.mark.parametrize(
    ("story", "text"),
    [
        ({"candidates": 0, "assessed": False}, "No candidate has been tried yet."),
        ({"candidates": 0, "in_flight": 1, "assessed": False}, "No candidate has been scored yet."),
        ({"candidates": 3, "failures": (0, 1, 2), "assessed": False}, "Every candidate failed"),
        ({"assessed": False}, "No finalist has been scored on unseen items yet"),
    ],
)
def test_what_is_missing_is_said(make_run: Callable[..., Any], story: dict[str, Any], text: str) -> None:
    (sentence,) = missing(make_run(**story).results)
    assert sentence.startswith(text)


def test_contenders_without_scores_are_named(make_run: Callable[..., Any]) -> None:
    sentences = missing(make_run(splits=("search",), candidates=8).results)
    assert (
        "uniform has no scores on the selection and test items: it failed there, or is still to be scored." in sentences
    )
    assert missing(make_run(candidates=8).results) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (1.52, "1.5 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (7384, "2 h 3 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 215_000))  # 60 h are said so
def test_durations_never_show_sixty_of_a_unit(seconds: float) -> None:
    assert "60" not in duration(seconds).replace("h", "").split()[1::2]
    assert " 60 " not in f" {duration(seconds)} "
