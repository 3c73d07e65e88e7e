"""`evomerge inspect`: models before they are merged; what moved, what conflicts, what must not be mixed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bars
from rich.text import Text

from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.diagnosis import Diagnosis, Progress, diagnose, record
from evomerge.cli import parser
from evomerge.errors import ConfigError
from evomerge.report import diagnosis as shown
from evomerge.report import pages

_SIGNS = {"stop": ("✗", "bold red"), "care": ("!", "bold yellow"), "note": ("·", "dim")}


def run(argv: Sequence[str]) -> int:
    """Print, and write what was asked for."""
    given = _arguments(argv)
    models = {name: Checkpoint(folder) for name, folder in _named(given.base, given.models).items()}
    with _progress() as progress:
        found = diagnose(models, progress)
    _show(found, given.by)
    if given.html:
        print(f"Page: {shown.write_page(given.html, found)}")
    if given.figures:
        print(f"Figures: {', '.join(map(str, shown.write_figures(given.figures, found)))}")
    if given.json:
        pages.write(given.json, json.dumps(record(found), indent=1) + "\n")
        print(f"Data: {given.json}")
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser("inspect")
    arguments.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="folders; the first is the base")
    arguments.add_argument("--base", type=Path, help="the base; all MODELs are experts then")
    arguments.add_argument(
        "--by", choices=shown.LEVELS, default="layer", help="rows of the last table (default: layer)"
    )
    arguments.add_argument("--html", type=Path, metavar="FILE", help="write a page with tables and figures")
    arguments.add_argument("--figures", type=Path, metavar="DIR", help="write the figures as PNG files")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, down to single tensors")
    return arguments.parse_args(argv)


def _named(base: Path | None, folders: Sequence[Path]) -> dict[str, Path]:
    """Models by the names of their folders, or by their paths where those are not distinct; the base comes first."""
    models = [base, *folders] if base else list(folders)
    if len(models) < 2:
        raise ConfigError.at("inspect", "one model alone tells nothing. Name the base and one expert or more.")
    if twice := [
        folder for index, folder in enumerate(models) if folder.resolve() in map(Path.resolve, models[:index])
    ]:
        raise ConfigError.at("inspect", f"{twice[0]} is named twice. Name every model once.")
    short = [folder.resolve().name for folder in models]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in models]
    return dict(zip(names, models, strict=True))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        row = bars.add_task("reading", total=None)
        yield lambda what, done, total: bars.update(row, description=what, completed=done, total=total)


def _show(found: Diagnosis, level: shown.Level) -> None:
    console = Console()
    sheets = [shown.experts(found.survey), shown.pairs(found.survey), shown.breakdown(found.survey, level)]
    for sheet in sheets:
        if sheet:
            console.print(sheet.rich)
            console.print()
    for finding in found.findings:
        sign, look = _SIGNS[finding.severity]
        console.print(Text(f"{sign} ", style=look).append(finding.sentence, style="default not bold"))
    if not found.findings:
        console.print("Nothing stands against merging these models.")
    if found.grouping:
        console.print("\nSuggested groups for a search space:")
        console.print(found.grouping.yaml, highlight=False, markup=False, soft_wrap=True)
