"""The display of a run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from evomerge.finals import Entry
from evomerge.fitness.constraints import feasible_first, total_violation
from evomerge.fitness.items import SPLITS
from evomerge.fitness.racing import ranked
from evomerge.runs import Assessed, Event, Failed, Told
from evomerge.study import Study

_SECONDS_BETWEEN_LINES = 10.0


class Display:
    """Shows the events of a run as they are logged."""

    def __init__(self, study: Study, console: Console, bar: Progress | None) -> None:
        """Use `open_display`."""
        self._objectives = study.fitness.objectives
        self._budget = study.settings.candidates
        self._console = console
        self._bar = bar
        self._task = bar.add_task("search", total=self._budget) if bar else None
        self._losses: dict[int, tuple[float, ...]] = {}
        self._violations: dict[int, tuple[float, ...]] = {}
        self._failures = 0
        self._assessed: set[tuple[str, str, str]] = set()
        self._assessments: list[int] | None = None
        self._last_line_s = time.monotonic()

    def say(self, text: str) -> None:
        """A line of text."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, table: Any) -> None:
        """Anything that rich can draw; what is wider than the terminal is not cut off."""
        self._console.print(table, crop=False)

    def catch_up(self, events: Iterable[Event]) -> None:
        """Take in what happened before this session, silently."""
        for event in events:
            self._take(event)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=len(self._losses), description=self._summary())

    def begin_finals(self, field: list[Entry]) -> None:
        """The search is over; finalists and references are scored next, where they were not scored before."""
        wanted = [(entry.recipe.digest, split, entry.name) for entry in field for split in SPLITS]
        self._assessments = [0, sum(one not in self._assessed for one in wanted)]
        self.say(f"Search done: {self._summary()}\nScoring {len(field)} finalists and references on unseen items …")
        if self._bar and self._task is not None:
            self._bar.reset(self._task, total=self._assessments[1], description="finals")

    def watch(self, event: Event) -> None:
        """Take in one event."""
        self._take(event)
        match event:
            case Told():
                self._advance(f"{len(self._losses)}/{self._budget} candidates, {self._summary()}", len(self._losses))
            case Failed(number, reason):
                self.say(f"candidate {number} failed: {reason}")
            case Assessed(failure=failure):
                if failure is not None:
                    self.say(f"{event.name} failed on the {event.split} split: {failure}")
                if self._assessments is not None:
                    self._assessments[0] += 1
                    done, total = self._assessments
                    self._advance(f"assessed {done} of {total}", done)

    def _take(self, event: Event) -> None:
        match event:
            case Told(number=number):
                self._losses[number], self._violations[number] = event.losses, event.violations
            case Failed():
                self._failures += 1
            case Assessed(name=name, split=split, digest=digest):
                self._assessed.add((digest, split, name))

    def _advance(self, text: str, completed: int) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=completed, description=self._summary())
        elif time.monotonic() - self._last_line_s > _SECONDS_BETWEEN_LINES:
            self._last_line_s = time.monotonic()
            self.say(text)

    def _summary(self) -> str:
        names, told, broken = self._objectives.names, list(self._losses.values()), list(self._violations.values())
        if not told:
            return ""
        ordered = feasible_first(told, broken)
        best = told[min(range(len(told)), key=lambda index: sum(ordered[index]))]
        shown = ", ".join(
            f"{name} {value:.3f}" for name, value in zip(names, self._objectives.from_losses(best), strict=True)
        )
        front = f", front of {len(ranked(ordered)[0])}" if len(names) > 1 else ""
        held = sum(not total_violation(one) for one in broken)
        holding = f", {held} of {len(told)} hold all constraints" if any(broken) else ""
        failed = f", {self._failures} failed" if self._failures else ""
        best_by = "best by mean loss:" if len(names) > 1 else "best"
        return f"{best_by} {shown}{front}{holding}{failed}"


@contextmanager
def open_display(study: Study, run_dir: Path) -> Iterator[Display]:
    """A display for one run."""
    console = Console()
    objectives = ", ".join(study.fitness.objectives.names)
    heading = f"{run_dir}: {study.settings.optimizer['name']} on {study.space.summary}, objectives: {objectives}"
    if not console.is_terminal:
        display = Display(study, console, None)
        display.say(heading)
        yield display
        return
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        display = Display(study, console, bar)
        display.say(heading)
        yield display
