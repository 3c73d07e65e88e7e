"""Finalists: the one of a run's, or another candidate, that a command is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evomerge.errors import ConfigError
from evomerge.runs import Asked, RunLog
from evomerge.runs.results import Contender, Results
from evomerge.spaces.genes import Genome


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


def asked(run_dir: Path, number: int) -> Mapping[int, Genome]:
    """The genomes of all candidates of a run, one of this number among them.

    Raises:
        ConfigError: If there is none of this number.
    """
    with RunLog.read(run_dir) as log:
        genomes = {event.number: event.genome for event in log.events() if isinstance(event, Asked)}
    if number not in genomes:
        raise ConfigError.at(f"{run_dir}: --candidate", f"there is no {number}: {len(genomes)} were asked, from 0 on.")
    return genomes
