"""`evomerge resume`: go on with a run that was interrupted, or with another budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evomerge.cli import parser
from evomerge.cli.session import go_on
from evomerge.documents import parse, tree_of
from evomerge.errors import ConfigError
from evomerge.runs.budget import SPENT
from evomerge.runs.state import state_of
from evomerge.settings import Settings, load_settings

_LIMITS = {
    "candidates": (int, "another budget than the run began with: more goes on, fewer ends it sooner"),
    "items": (int, "another limit of answers"),
    "tokens": (int, "another limit of tokens"),
    "seconds": (float, "another limit of workers' seconds"),
}


def run(argv: Sequence[str]) -> int:
    """Resume a run by replaying its log."""
    arguments = parser("resume")
    arguments.add_argument("run", type=Path, help="the run's folder")
    for name, (kind, text) in _LIMITS.items():
        arguments.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    given = arguments.parse_args(argv)
    state, settings = state_of(given.run), load_settings(given.run)
    limits = {name: value for name in _LIMITS if (value := getattr(given, name)) is not None}
    # A resumption with a larger budget that was stopped at once has left no trace but the budget.
    is_outgrown = state.reason == SPENT and state.asked < settings.candidates
    if state.phase == "finished" and not limits and not is_outgrown:
        print(f"{given.run} is complete. `evomerge report {given.run}` shows it; --candidates N searches further.")
        return 0
    return go_on(_limited(settings, limits, state.asked), given.run)


def _limited(settings: Settings, limits: dict[str, int | float], num_asked: int) -> Settings:
    """The settings with other limits."""
    wanted = limits.get("candidates", num_asked)
    if wanted < num_asked:
        what = f"{wanted} are fewer than the {num_asked} that were asked already. Give {num_asked} or more."
        raise ConfigError.at("--candidates", what)
    return parse(Settings, {**tree_of(settings), **limits}, "resume")
