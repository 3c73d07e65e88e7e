"""A bar for what takes minutes: on a terminal it moves, elsewhere nothing is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import Progress

Advance: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@contextmanager
def progress_bar(name: str) -> Iterator[Advance]:
    """A bar on stderr, which vanishes at the end."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        row = bars.add_task(name, total=None)

        def advance(what: str, done: int, total: int) -> None:
            bars.update(row, description=f"{name} {what}".rstrip(), completed=done, total=total)

        yield advance
