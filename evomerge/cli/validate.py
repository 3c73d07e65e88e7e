"""`evomerge validate`: all problems of files, before anything is loaded."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.checks import Sound, check, rivals_unchecked
from evomerge.cli.hints import zoo_hint
from evomerge.config.files import read_resolved
from evomerge.errors import ConfigError
from evomerge.fitness.rivals import unknown_rivals


def run(argv: Sequence[str]) -> int:
    """Check files one after another, then what fitnesses say of the search space among them."""
    arguments = parser("validate")
    arguments.add_argument(
        "files", nargs="+", type=Path, help="search spaces, fitnesses, recipes, or files for mergekit"
    )
    arguments.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in the files")
    arguments.add_argument("--models", type=Path, help="where else the models of a mergekit file are looked for")
    arguments.add_argument("--data", action="store_true", help="load the data of tasks too; fetches what is not here")
    given = arguments.parse_args(argv)
    sound: dict[str, Sound] = {}
    for path in given.files:
        try:
            sound[str(path)] = check(read_resolved(path, given.zoo), str(path), given.models, with_data=given.data)
        except ConfigError as error:
            print(error, *zoo_hint(error, given.zoo), sep="\n", file=sys.stderr)
    spaces = [found.models for found in sound.values() if found.models]
    space = spaces[0] if len(spaces) == 1 else None
    for where, found in list(sound.items()):
        if found.spec and space and (problems := list(unknown_rivals(found.spec, space, where))):
            print(ConfigError(*problems), file=sys.stderr)
            del sound[where]
    _show(sound, space)
    return 0 if len(sound) == len({str(path) for path in given.files}) else 2


def _show(sound: Mapping[str, Sound], space: Collection[str] | None) -> None:
    unchecked: dict[str, None] = {}
    for where, found in sound.items():
        print(f"{where}: a sound {found.kind}", *(f"  but {remark}" for remark in found.remarks), sep="\n")
        alone = rivals_unchecked(found.spec) if found.spec and space is None else None
        unchecked |= dict.fromkeys((*found.unchecked, *([alone] if alone else [])))
    for what in unchecked:
        print(f"Not checked: {what}.")
