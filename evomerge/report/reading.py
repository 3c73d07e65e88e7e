"""Reading: a run's folder, its settings and what its log says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.runs import RunLog
from evomerge.runs.log import identity_of
from evomerge.runs.results import Results
from evomerge.settings import Settings, load_settings
from evomerge.study import open_fitness


@dataclass(frozen=True, slots=True)
class Run:
    """A run on disk, which may be going on.

    Attributes:
        folder: As it was named.
        settings: What it was started with.
        identity: What its log begins with.
        results: What its log says.
    """

    folder: Path
    settings: Settings
    identity: Mapping[str, Any]
    results: Results


def read_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        ConfigError: If there is none in the folder, or its tasks cannot be loaded any more.
    """
    with RunLog.read(folder) as log:
        settings = load_settings(folder)
        return Run(folder, settings, identity_of(log), Results(log, open_fitness(settings)))
