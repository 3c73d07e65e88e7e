"""`evomerge ls`: what there is to choose from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evomerge import shipped
from evomerge.cli import parser
from evomerge.errors import ConfigError
from evomerge.optimizers.registry import OPTIMIZERS
from evomerge.recipe.presets import PRESETS
from evomerge.runs.log import FILE_NAME
from evomerge.runs.state import state_of
from evomerge.settings import load_settings

Row = tuple[str, str]
_HYDRAS = re.compile(r"#\s*@")
"""A remark that is meant for Hydra, such as `# @package _global_`."""


def run(argv: Sequence[str]) -> int:
    """Print one list, or all of them."""
    arguments = parser("ls")
    arguments.add_argument("what", nargs="?", choices=_LISTS, help="absent: everything")
    given = arguments.parse_args(argv)
    for what in [given.what] if given.what else _LISTS:
        table = Table(title=what, title_justify="left", show_header=False, box=None, padding=(0, 3, 0, 1))
        table.add_column(overflow="fold")
        for name, text in _LISTS[what]():
            table.add_row(name, text)
        Console().print(table)
    return 0


def _room(room: shipped.Room) -> Callable[[], Iterator[Row]]:
    def rows() -> Iterator[Row]:
        for name, path in shipped.names(room).items():
            lines = path.read_text(encoding="utf-8").splitlines()
            remarks = (line.lstrip("# ") for line in lines if line.startswith("#") and not _HYDRAS.match(line))
            yield name, next(remarks, str(path))

    return rows


def _optimizers() -> Iterator[Row]:
    for name, entry in OPTIMIZERS.items():
        yield name, entry.summary


def _operators() -> Iterator[Row]:
    for name, preset in PRESETS.items():
        yield name, (preset.__doc__ or "").splitlines()[0]


def _runs() -> Iterator[Row]:
    for file in sorted(Path("runs").glob(f"**/{FILE_NAME}")):
        try:
            words = state_of(file.parent).words(load_settings(file.parent).candidates)
        except ConfigError as error:
            words = f"cannot be read: {error.problems[0]}"
        yield str(file.parent), words


_LISTS: dict[str, Callable[[], Iterator[Row]]] = {
    "search_spaces": _room("search_spaces"),
    "fitness": _room("fitness"),
    "experiments": _room("experiments"),
    "optimizers": _optimizers,
    "operators": _operators,
    "runs": _runs,
}
