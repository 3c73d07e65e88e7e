"""`evomerge resume`: go on with a run that was interrupted, or give a finished one a larger budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.session import go_on
from evomerge.errors import ConfigError
from evomerge.runs import Finished, RunLog
from evomerge.settings import load_settings


def run(argv: Sequence[str]) -> int:
    """Resume a run by replaying its log."""
    arguments = parser("resume")
    arguments.add_argument("run", type=Path, help="the run's folder")
    arguments.add_argument("--candidates", type=int, help="a larger budget than the run began with")
    given = arguments.parse_args(argv)
    with RunLog.read(given.run) as log:
        finished = any(isinstance(event, Finished) for event in log.events())
    settings = load_settings(given.run)
    if given.candidates is not None:
        if given.candidates < settings.candidates:
            what = f"{given.candidates} is below the run's budget of {settings.candidates}. A budget can only grow."
            raise ConfigError.at("--candidates", what)
        settings = settings.model_copy(update={"candidates": given.candidates})
    elif finished:
        print(f"{given.run} is complete. `evomerge report {given.run}` shows it; --candidates N searches further.")
        return 0
    return go_on(settings, given.run)
