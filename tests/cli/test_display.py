import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from evomerge.cli.display import Display
from evomerge.documents import tree_of
from evomerge.finals import Entry
from evomerge.recipe.references import references
from evomerge.runs import Assessed, Told
from evomerge.settings import Settings
from evomerge.study import Study, assemble


@pytest.fixture(scope="module")
def told() -> list[Told]:
    return [Told(number, (0.5, 0.5)) for number in range(3)]


@pytest.fixture
def study(make_settings: Callable[..., Settings]) -> Study:
    return assemble(make_settings())


def models(study: Study, split: str) -> list[Assessed]:
    alone = {name: references(study.some_recipe)[name] for name in ("math", "ja")}
    return [Assessed(n, "reference", split, one.digest, tree_of(one), {}, {}) for n, one in alone.items()]


def test_the_bar_counts_candidates_those_of_earlier_sessions_too_and_then_what_is_still_to_be_assessed(
    study: Study, told: list[Told]
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    bar = Progress(console=console)
    display = Display(study, console, bar)
    display.catch_up([*models(study, "search"), told[0]])
    assert (bar.tasks[0].completed, bar.tasks[0].total) == (1, 6)
    for event in told[1:]:
        display.watch(event)
    assert bar.tasks[0].completed == 3
    field = [Entry(name, "reference", recipe) for name, recipe in references(study.some_recipe).items()]
    display.begin_finals(field)
    assert (bar.tasks[0].completed, bar.tasks[0].total) == (0, 3 * len(field) - 2)
    for event in models(study, "test"):
        display.watch(event)
    assert bar.tasks[0].completed == 2


def test_models_scored_before_the_search_are_no_candidates(study: Study, told: list[Told]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    bar = Progress(console=console)
    display = Display(study, console, bar)
    for event in (*models(study, "search"), told[0]):
        display.watch(event)
    assert bar.tasks[0].completed == 1


def test_a_table_that_is_wider_than_the_console_is_shown_whole(study: Study) -> None:
    console = Console(file=io.StringIO(), width=20)
    wide = Table("a heading of its own", "another heading", "the last heading")
    for column in wide.columns:
        column.no_wrap, column.min_width = True, 16
    Display(study, console, None).show(wide)
    assert "the last heading" in console.file.getvalue()
