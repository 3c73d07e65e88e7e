"""`evomerge compare`: several runs, or the runs of a sweep, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evomerge.cli import parser
from evomerge.errors import ConfigError
from evomerge.fitness import Estimate
from evomerge.report.comparison import Group, Line, compare, groups
from evomerge.report.reading import Run, read_run
from evomerge.report.summary import duration
from evomerge.report.verdict import CLEAR
from evomerge.report.yardstick import of_objectives
from evomerge.runs.front import Losses, point_in_words
from evomerge.runs.log import FILE_NAME, check_there


def run(argv: Sequence[str]) -> int:
    """Show runs as one table."""
    arguments = parser("compare")
    help_text = "folders of runs, or of sweeps; differences are to the first run"
    arguments.add_argument("runs", type=Path, nargs="+", metavar="run", help=help_text)
    given = arguments.parse_args(argv)
    folders = list(dict.fromkeys(folder for path in given.runs for folder in _folders(path)))
    if len(folders) < 2:
        raise ConfigError.at(
            str(given.runs[0]), "is one run; a comparison needs two. Name another, or a sweep's folder."
        )
    runs = [read_run(folder) for folder in folders]
    lines, point = compare(runs)
    console, names = Console(), _names(folders)
    console.print(_table(lines, names), crop=False)
    if of_seeds := groups(lines):
        console.print(_seeds_table(of_seeds))
    for sentence in _notes(runs, lines, names[0], point):
        console.print(sentence, markup=False, highlight=False)
    return 0


def _folders(path: Path) -> list[Path]:
    """The run in a folder, or all runs below it."""
    below = sorted(file.parent for file in path.glob(f"**/{FILE_NAME}"))
    if not below:
        check_there(path)
    return [path] if path in below else below


def _names(folders: Sequence[Path]) -> list[str]:
    """Folders without the beginning that all share, those of a sweep without the settings that all share."""
    absolute = [folder.absolute() for folder in folders]
    shared = os.path.commonpath([folder.parent for folder in absolute])
    words = [str(folder.relative_to(shared)).split(",") for folder in absolute]
    common = set(words[0]).intersection(*words[1:])
    return [",".join([word for word in some if word not in common] or some) for some in words]


def _table(lines: Sequence[Line], names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title="Runs", title_justify="left")
    table.add_column("run", overflow="fold", min_width=10)
    for heading in ("tried", "items", "time", "believed", "test", "volume", "better than\nthe first"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line, name in zip(lines, names, strict=True):
        table.add_row(*_cells(line, name))
    return table


def _cells(line: Line, name: str) -> Iterator[str | Text]:
    yield Text(name)
    yield str(len(line.run.results.candidates))
    yield f"{line.num_items:,}"
    yield duration(line.seconds)
    yield _shown(line.believed)
    yield _shown(line.test)
    yield f"{line.volume:.3f}" if line.volume is not None else "–"
    clear = line.gain is not None and abs(line.gain.value) > CLEAR * line.gain.stderr
    yield Text(f"{line.gain.value:+.3f} ±{line.gain.stderr:.3f}" if line.gain else "–", style="bold" if clear else "")


def _seeds_table(of_seeds: Sequence[Group]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title="Means over seeds", title_justify="left")
    table.add_column("optimiser")
    for heading in ("runs", "believed", "test", "volume"):
        table.add_column(heading, justify="right")
    for group in of_seeds:
        scores = (group.believed, group.test, group.volume)
        name = Text(str(group.lines[0].run.settings.optimizer["name"]))
        table.add_row(name, str(len(group.lines)), *map(_shown, scores))
    table.caption, table.caption_justify = "± is one standard error between the runs.", "left"
    return table


def _notes(runs: Sequence[Run], lines: Sequence[Line], first: str, point: Losses | None) -> Iterator[str]:
    yardstick = of_objectives(runs[0].results.fitness)
    if point is None:
        yield "The runs have different objectives: their scores are each its own, and hypervolumes are not comparable."
    else:
        scores = f"of the chosen merge: {yardstick.axis}, by the search and on test items; ± is one standard error."
        yield f"believed, test: {scores}"
    if point is not None and len(point) > 1:
        volume = "hypervolume, on test items, of the front that was found on selection items; measured from"
        yield f"volume: {volume} {point_in_words(runs[0].results, point)}."
    if any(line.gain for line in lines):
        paired = "paired by the test items that both answered; bold beyond two standard errors."
        yield f"better than the first: chosen merge against that of {first}, {paired}"
    yield "tried, items, time: candidates of the search and what they cost, all workers together."


def _shown(estimate: Estimate | None) -> str:
    return f"{estimate.value:.3f} ±{estimate.stderr:.3f}" if estimate else "–"
