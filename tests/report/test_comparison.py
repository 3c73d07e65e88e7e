"""Runs side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evomerge.report.comparison import common_point, compare, groups, paired_gain
from evomerge.report.reading import Run
from evomerge.report.verdict import chosen
from evomerge.runs.front import hypervolume


def read(run: Any) -> Run:
    return Run(run.folder, run.settings, run.identity, run.results)


def test_lines_say_what_the_logs_say(make_run: Callable[..., Any]) -> None:
    runs = [read(make_run(twins=(5,))), read(make_run(seed=1, skill=0.3))]
    lines, point = compare(runs)
    assert point == (1.0, 1.0)
    assert lines[0].num_items == 13 * 120
    assert lines[0].seconds == pytest.approx(13 * 1.5)
    assert lines[0].gain is None
    for line, run in zip(lines, runs, strict=True):
        results, best = run.results, chosen(run.results)
        assert line.chosen is best
        assert line.test.value == pytest.approx(1 - results.mean_loss(best, "test"))
        members = [results.fitness.objectives.losses(one.estimates["test"]) for one in results.front()]
        assert line.volume == pytest.approx(hypervolume(members, (1, 1)))


def test_differences_are_paired_by_the_items_digests(make_run: Callable[..., Any]) -> None:
    one, other = make_run().results, make_run(skill=0.3).results
    found = paired_gain(other, one)
    differences = [
        other.best().responses["test"][task].astype(float) - one.best().responses["test"][task]
        for task in ("math_en", "form_ja")
    ]
    assert found.value == pytest.approx(np.mean([each.mean() for each in differences]))
    assert found.stderr == pytest.approx(np.sqrt(sum(each.var(ddof=1) / 60 for each in differences)) / 2)
    assert found.num_items == 120
    assert paired_gain(one, other).value == pytest.approx(-found.value)
    assert paired_gain(one, one).value == paired_gain(one, one).stderr == 0


def test_runs_over_other_items_have_no_difference(make_run: Callable[..., Any]) -> None:
    one, other = make_run().results, make_run(task_prefix="changed_").results
    assert paired_gain(one, other) is None
    fewer = make_run(num_items=40).results  # its test items are others' selection items, in part
    assert paired_gain(one, fewer) is None


def test_other_objectives_are_compared_by_the_tasks_of_both(make_run: Callable[..., Any]) -> None:
    two, one = make_run(), make_run(objectives=1)
    lines, point = compare([read(two), read(one)])
    assert point is None
    assert [line.volume for line in lines] == [None, None]
    assert lines[1].gain.num_items == 180, "all three tasks, also the one that no objective of the first names"


def test_lower_is_better_counts_as_a_gain(make_run: Callable[..., Any]) -> None:
    low = ("math_en", "form_ja", "math_ja")
    strong, weak = make_run(lower_is_better=low).results, make_run(lower_is_better=low, skill=0.1).results
    assert strong.mean_loss(strong.best(), "test") < weak.mean_loss(weak.best(), "test")
    assert paired_gain(strong, weak).value > 0


def test_the_common_corner_is_the_worst(make_run: Callable[..., Any]) -> None:
    runs = [make_run(lower_is_better=("form_ja",), seed=seed).results for seed in (0, 1)]
    point = common_point(runs)
    assert point[0] == 1
    worst = max(
        run.fitness.objectives.losses(scores)[1]
        for run in runs
        for one in run.references
        for scores in one.estimates.values()
    )
    assert point[1] == worst > 1


def test_runs_that_differ_by_their_seed_are_averaged(make_run: Callable[..., Any]) -> None:
    runs = [read(make_run(seed=seed)) for seed in (0, 1, 2)] + [read(make_run(finalists=2))]
    lines, _ = compare(runs)
    (group,) = groups(lines)
    assert [line.run for line in group.lines] == runs[:3]
    values = [line.test.value for line in lines[:3]]
    assert group.test.value == pytest.approx(np.mean(values))
    assert group.test.stderr == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))


def test_a_run_over_again_is_no_other_seed(make_run: Callable[..., Any]) -> None:
    lines, _ = compare([read(make_run(seed=0)), read(make_run(seed=0))])
    assert groups(lines) == []
    lines, _ = compare([read(make_run(seed=seed)) for seed in (0, 0, 1)])
    (group,) = groups(lines)
    assert [line.run.settings.seed for line in group.lines] == [0, 1]


def test_a_run_before_its_finals_has_dashes(make_run: Callable[..., Any]) -> None:
    lines, _ = compare([read(make_run(assessed=False, finished=False)), read(make_run())])
    assert (lines[0].chosen, lines[0].test, lines[0].volume, lines[1].gain) == (None, None, None, None)
