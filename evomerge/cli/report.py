"""`evomerge report`: a run as a table, and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evomerge.cli import parser
from evomerge.report.html import write_report
from evomerge.report.reading import read_run
from evomerge.report.tables import finalists_table


def run(argv: Sequence[str]) -> int:
    """Show a run, which may be going on."""
    arguments = parser("report")
    arguments.add_argument("run", type=Path, help="the run's folder")
    given = arguments.parse_args(argv)
    found = read_run(given.run)
    page = write_report(given.run, found.results, found.settings, found.identity)
    Console().print(finalists_table(found.results))
    print(f"Report: {page}")
    return 0
