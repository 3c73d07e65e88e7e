"""`evomerge report`: a run as a table, and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evomerge.cli import parser
from evomerge.report.html import write_report
from evomerge.report.tables import finalists_table
from evomerge.runs import RunLog
from evomerge.runs.log import identity_of
from evomerge.runs.results import Results
from evomerge.settings import load_settings
from evomerge.study import open_fitness


def run(argv: Sequence[str]) -> int:
    """Show a run, which may be going on."""
    arguments = parser("report")
    arguments.add_argument("run", type=Path, help="the run's folder")
    given = arguments.parse_args(argv)
    with RunLog.read(given.run) as log:
        settings = load_settings(given.run)
        results = Results(log, open_fitness(settings))
        page = write_report(given.run, results, settings, identity_of(log))
    Console().print(finalists_table(results))
    print(f"Report: {page}")
    return 0
