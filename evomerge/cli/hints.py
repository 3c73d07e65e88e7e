"""Hints that stand below a complaint, where what is wrong is elsewhere than where it showed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evomerge.errors import ConfigError


def zoo_hint(error: ConfigError, zoo: str) -> Iterator[str]:
    """What to do where a file names the zoo's models or tasks and there is no zoo.

    Args:
        error: What was complained of.
        zoo: What `${zoo}` stood for.
    """
    if not Path(zoo).is_dir() and any(f" {zoo}/" in problem.what for problem in error.problems):
        yield f"There is no zoo in {zoo}. Make it: `evomerge zoo build {zoo}`; or say where it is: zoo=FOLDER."
