"""`evomerge doctor`: whether this installation and machine can do the work."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evomerge import shipped
from evomerge.cli import parser
from evomerge.errors import EvomergeError
from evomerge.runs.environment import PACKAGES, describe

_IMPORTS = {"hydra-core": "hydra"}
_MIN_FREE_BYTES = 5_000_000_000

Finding = tuple[bool, str, str]
"""Whether it is well, what was looked at, what was found."""


def run(argv: Sequence[str]) -> int:
    """Look, and say what is missing."""
    parser("doctor").parse_args(argv)
    findings = [*_packages(), *_machine(), *_rooms()]
    table = Table(show_header=False, box=None)
    for well, subject, found in findings:
        table.add_row("ok" if well else "[red]no[/red]", subject, found)
    Console().print(table)
    return 0 if all(well for well, _, _ in findings) else 1


def _packages() -> Iterator[Finding]:
    versions = describe()["packages"]
    for name in PACKAGES:
        try:
            importlib.import_module(_IMPORTS.get(name, name))
        except ImportError as error:
            yield False, name, f"{error}. Install it: pip install {name}"
        else:
            yield True, name, versions[name] or "a checkout"


def _machine() -> Iterator[Finding]:
    found = describe()
    yield sys.version_info >= (3, 11), "python", found["python"]
    yield True, "cores", str(found["cores"])
    yield True, "GPUs", ", ".join(found["gpus"]) or "none; small models run on the CPU"
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= _MIN_FREE_BYTES else "; an exported model may not fit"
    yield free >= _MIN_FREE_BYTES, "disk", f"{free / 1e9:.1f} GB free here{advice}"


def _rooms() -> Iterator[Finding]:
    try:
        yield True, "configuration", str(shipped.shipped_root())
    except EvomergeError as error:
        yield False, "configuration", str(error)
        return
    for room in shipped.ROOMS:
        yield True, room, ", ".join(shipped.names(room)) or "empty"
