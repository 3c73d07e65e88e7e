"""`evomerge report`: a run as a table, and as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from evomerge.cli import parser
from evomerge.fitness import Estimate
from evomerge.report.html import write_report
from evomerge.report.reading import Run, read_run
from evomerge.report.summary import missing
from evomerge.report.tables import finalists_table
from evomerge.report.verdict import listed, shown
from evomerge.runs.results import Results
from evomerge.runs.state import State, state_of


def run(argv: Sequence[str]) -> int:
    """Show a run, which may be going on."""
    arguments = parser("report")
    arguments.add_argument("run", type=Path, help="the run's folder")
    given = arguments.parse_args(argv)
    state = state_of(given.run)
    found = read_run(given.run)
    page = write_report(given.run, found.results, found.settings, found.identity)
    console = Console()
    console.print(f"{given.run}: {state.words(found.settings.candidates)}.", highlight=False, soft_wrap=True)
    if any(one.complete("selection") or one.complete("test") for one in found.results.contenders.values()):
        console.print(finalists_table(found.results), crop=False)
    for sentence in _so_far(found, state):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    print(f"Report: {page}")
    return 0


def _so_far(found: Run, state: State) -> Iterator[str]:
    """What is there of a run that is not finished, and what to do."""
    if state.phase == "finished":
        return
    yield from missing(found.results)
    if best := _best(found.results):
        yield best
    if state.phase == "running":
        yield "It is going on: look again later."
    else:
        yield f"Nothing scored is lost. Go on with it: evomerge resume {found.folder}"


def _best(results: Results) -> str | None:
    """The candidate that the search believes in most; None while nobody has been scored."""
    if not results.scored:
        return None
    best = results.best_so_far[-1]
    values = listed([f"{name} {_plain(value)}" for name, value in results.values(best).items()])
    return f"Best so far, as the search believes: candidate {best.number} with {values}, on search items."


def _plain(value: Estimate) -> str:
    """A score as the search believed it; it errs by nothing where all search items were asked."""
    return shown(value) if value.stderr else f"{value.value:.3f}"
