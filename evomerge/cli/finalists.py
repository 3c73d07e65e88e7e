"""Finalists: the one of a run's that a command is about."""

from __future__ import annotations

from pathlib import Path

from evomerge.errors import ConfigError
from evomerge.runs.results import Contender, Results


def chosen(results: Results, name: str | None, run_dir: Path) -> Contender:
    """The contender of this name, or the best on the selection split.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name is None:
        return results.best()
    contender = results.contenders.get(name)
    if contender is None:
        known = ", ".join(contender.name for contender in results.finalists) or "none yet"
        raise ConfigError.at(f"{run_dir}: --finalist", f'"{name}" is not a finalist. Finalists: {known}.')
    return contender
