"""The table of finalists and references, on the terminal."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from evomerge.fitness.measures import Brevity
from evomerge.report.tables import finalists_table, rows
from evomerge.report.yardstick import of_tasks
from evomerge.runs.results import Results


def printed(results: Results, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(finalists_table(results))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_finalists_come_before_references_and_the_chosen_one_first(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    found = rows(results)
    kinds = [row.contender.kind for row in found]
    assert kinds == ["finalist"] * len(results.finalists) + ["reference"] * len(results.references)
    assert found[0].contender is results.best()
    assert [row.is_best for row in found] == [True] + [False] * (len(found) - 1)
    assert {row.contender.name for row in found if row.on_front} == {one.name for one in results.front()}
    assert [row.mark for row in found if row.is_best or not row.on_front][:2] == ["★", ""]


def test_scores_stand_in_the_table_as_the_log_has_them(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    lines = printed(results).splitlines()
    for contender in results.contenders.values():
        line = next(line for line in lines if f" {contender.name} " in line)
        for estimate in contender.estimates["test"].values():
            assert f"{estimate.value:.3f} ±{estimate.stderr:.3f}" in line
        for split in ("search", "selection", "test"):
            assert f"{results.mean_of_tasks(contender, split).value:.3f}" in line
    assert "math_ja" in "".join(lines), "tasks that no objective names are shown, too"


def test_three_tasks_fit_into_eighty_columns(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    results.finalists[0].name = "candidate 100"
    lines = printed(results, width=80).splitlines()
    assert sum(" ±0." in line for line in lines) == len(results.contenders), "one line each"
    assert all(len(line) <= 80 for line in lines)


def test_narrow_terminals_break_no_number(make_run: Callable[..., Any]) -> None:
    results = make_run(objectives=3).results
    words = set(printed(results, width=64).split())
    for contender in results.contenders.values():
        for estimate in contender.estimates["test"].values():
            assert {f"{estimate.value:.3f}", f"±{estimate.stderr:.3f}"} <= words


def test_what_was_not_scored_is_a_dash(make_run: Callable[..., Any]) -> None:
    results = make_run(splits=("search", "selection"), finished=False).results
    (line,) = [line for line in printed(results).splitlines() if " uniform " in line]
    assert line.count("–") == len(results.fitness.spec.tasks) + 1
    assert all(row.means["test"] is None for row in rows(results))
    unscored = make_run(splits=(), assessed=False).results
    assert "No finalist has been scored yet" in printed(unscored)


def test_names_are_no_markup(make_run: Callable[..., Any]) -> None:
    text = printed(make_run(names={"math": "[bold]math[/bold]"}, candidates=10).results)
    assert "[bold]math[/bold]" in text


def test_constraints_have_a_column_and_the_chosen_merge_holds_them(make_run: Callable[..., Any]) -> None:
    constraints = [{"task": "math_en", "at_least": 0.5}, {"task": "form_ja", "at_most": 0.8}]
    results = make_run(candidates=30, options={"constraints": constraints}).results
    text = printed(results)
    assert "Holds: math_en at least 0.5; form_ja at most 0.8, on test items" in " ".join(text.split())
    for row in rows(results):
        test = row.contender.estimates["test"]
        excess = max(0, 0.5 - test["math_en"].value) + max(0, test["form_ja"].value - 0.8)
        assert row.holds == (f"no: {excess:.3f}" if excess else "yes")
        (line,) = [line for line in text.splitlines() if f" {row.contender.name} " in line]
        assert row.holds in line
    assert {"yes"} < {row.holds for row in rows(results)}
    ranks = [results.rank(row.contender, "selection") for row in rows(results) if row.contender.kind == "finalist"]
    assert ranks == sorted(ranks)
    assert "holds" not in printed(make_run().results)


def test_where_lower_is_better_the_heading_says_so(make_run: Callable[..., Any]) -> None:
    text = printed(make_run(objectives={"maths": ["math_en"]}, lower_is_better=("math_en",)).results)
    assert "math_en ↓" in text
    assert "↓ lower is better" in " ".join(text.split())


def test_merges_are_compared_on_what_lm_eval_scores(make_run: Callable[..., Any]) -> None:
    results = make_run().results
    tasks = results.fitness.spec.tasks
    measured = tasks["form_ja"].model_copy(update={"metric": Brevity(half_length=9)})
    spec = results.fitness.spec.model_copy(update={"tasks": {**tasks, "form_ja": measured}})
    yardstick = of_tasks(dataclasses.replace(results.fitness, spec=spec))
    assert yardstick.name == "mean of the 2 lm-eval scores"
    assert set(yardstick.directions) == {"math_en", "math_ja"}
    assert of_tasks(results.fitness).name == "mean of the 3 tasks"
