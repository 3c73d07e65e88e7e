"""`evomerge pick`: one finalist of a run by weights, by bounds, or at the knee of its front."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evomerge.cli import parser
from evomerge.cli.preferences import parse_preference
from evomerge.fitness import Estimate
from evomerge.report import commands
from evomerge.report.reading import Run, read_run
from evomerge.report.verdict import listed, shown
from evomerge.report.yardstick import of_objectives
from evomerge.runs.picking import Choice, Pick, pick
from evomerge.runs.preference import Preference
from evomerge.runs.results import Contender, Results

_EPILOG = """examples:
  evomerge pick runs/x --weights math=2                        math counts twice, other objectives once
  evomerge pick runs/x --at-least math=0.4,math_ja=0.95*base   no worse than these; base is a reference of the run
  evomerge pick runs/x --at-most perplexity=2.5 --knee         the knee of what is left
"""


def run(argv: Sequence[str]) -> int:
    """Pick a finalist on the selection items, and say what it scores on test items."""
    arguments = parser("pick", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path, help="the run's folder")
    rule = arguments.add_mutually_exclusive_group()
    rule.add_argument("--weights", metavar="NAME=W,…", help="of the objectives' losses; 1 where none is given")
    rule.add_argument("--knee", action="store_true", help="the member that bulges most out of the front")
    for option in ("--at-least", "--at-most"):
        help_text = "a bound on an objective or a task: a number, a reference, or a share of one (0.95*base)"
        arguments.add_argument(option, metavar="NAME=LIMIT,…", action="append", default=[], help=help_text)
    given = arguments.parse_args(argv)
    found = read_run(given.run)
    preference = parse_preference(found.results, given.weights, given.at_least, given.at_most, at_knee=given.knee)
    picked = pick(found.results, preference, str(given.run))
    _show(found, preference, picked)
    return 0


def _show(found: Run, preference: Preference, picked: Pick) -> None:
    console = Console()
    for line in _lines(found, preference, picked):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(_table(found.results, preference, picked), crop=False)
    console.print(f"Export it: {commands.export(found.folder, picked.contender.name)}", soft_wrap=True, markup=False)


def _lines(found: Run, preference: Preference, picked: Pick) -> Iterator[str]:
    reason = _reason(found.results, preference, picked)
    yield f"Picked {picked.contender.name} of {found.folder}: {reason}, on selection items."
    if picked.tied:
        names = listed([contender.name for contender in picked.tied])
        yield f"It ties with {names}; of these it has the best mean of the objectives, or was assessed first."
    if required := _required(found.results, preference):
        yield f"It has {required} with probability {picked.choices[0].meets:.2f}."
    errors = "errors of the selection scores allowed for"
    yield f"That it is the best in this sense has probability {picked.choices[0].share:.2f}, {errors}."
    yield f"Test items, which had no say: {_test_scores(found.results, picked.contender)}."


def _reason(results: Results, preference: Preference, picked: Pick) -> str:
    among = "of 1 finalist" if picked.num_eligible == 1 else f"of {picked.num_eligible} finalists"
    if required := _required(results, preference):
        among += f" with {required}"
    if preference.at_knee:
        return f"the knee of the front {among}"
    if preference.weights:
        names = results.fitness.objectives.names
        return (
            f"the lowest mean loss, {listed([f'{n} times {preference.weights.get(n, 1):g}' for n in names])}, {among}"
        )
    return f"the best mean of the objectives {among}"


def _required(results: Results, preference: Preference) -> str:
    """What was asked for, and the constraints of the run itself, in words."""
    return " and ".join([*map(str, preference.bounds), *(one.text for one in results.fitness.spec.constraints)])


def _test_scores(results: Results, contender: Contender) -> str:
    if not contender.complete("test"):
        return "not scored yet"
    values = results.values(contender, "test")
    parts = [f"{name} {shown(value)}" for name, value in values.items()]
    if len(values) > 1:
        yardstick = of_objectives(results.fitness)
        parts.append(f"{yardstick.name} {shown(yardstick.mean(values))}")
    return ", ".join(parts)


def _table(results: Results, preference: Preference, picked: Pick) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, title="Selection items", title_justify="left")
    table.add_column("name")
    names = dict.fromkeys((*results.fitness.objectives.names, *(bound.name for bound in preference.bounds)))
    for name in names:
        table.add_column(Text(name), justify="right")
    table.add_column("knee:\nscaled" if preference.at_knee else "loss", justify="right")
    if _required(results, preference):
        table.add_column("in bounds\nwith prob.", justify="right")
    table.add_column("best\nwith prob.", justify="right")
    for choice in picked.choices:
        table.add_row(
            *_cells(results, preference, choice, list(names)), style="bold" if choice is picked.choices[0] else ""
        )
    return table


def _cells(results: Results, preference: Preference, choice: Choice, names: list[str]) -> Iterator[str | Text]:
    yield Text(choice.contender.name)
    scores: dict[str, Estimate] = dict(choice.contender.estimates["selection"])
    scores |= results.values(choice.contender, "selection")
    for name in names:
        yield f"{scores[name].value:.3f} ±{scores[name].stderr:.3f}"
    yield f"{choice.key:.3f}" if choice.key < float("inf") else "–"
    if _required(results, preference):
        yield f"{choice.meets:.2f}"
    yield f"{choice.share:.2f}"
