"""A generation: candidates that are asked the same exam, raced rung by rung, and told of together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from evomerge.fitness.constraints import feasible_first
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.fitness import Worth
from evomerge.fitness.racing import not_dominated
from evomerge.runs.progress import Progress


@dataclass(slots=True)
class Generation:
    """The candidates that were asked and not told, and those that join them.

    Where every item is asked there is nothing to race: candidates are told one by one, and the generation ends when the
    optimiser waits for those that failed.

    Attributes:
        progress: Of the search.
        examiner: Of the search.
        members: Numbers of the candidates, in the order of asking.
        racers: Those of them that are still asked items.
        is_open: Whether candidates may join.
        number: Of its exam; 0 where every item is asked.
    """

    progress: Progress
    examiner: Examiner
    members: list[int] = field(default_factory=list)
    racers: list[int] = field(default_factory=list)
    is_open: bool = True
    number: int = 0

    def __post_init__(self) -> None:
        """Take in those that a crash left without an outcome."""
        numbers, untold = self.progress.generations, self.progress.untold
        if self.examiner.is_sequential and numbers:
            self.number = numbers[-1] if untold else numbers[-1] + 1
        for number in untold:
            self.join(number)

    def join(self, number: int) -> None:
        """Let a candidate in. One whose recipe is another's is asked nothing."""
        self.members.append(number)
        if self.progress.sources[number] == number and number not in self.progress.failures:
            self.racers.append(number)

    def rungs(self) -> Iterator[int]:
        """Items of each task that the racers must have answered; between two rungs some racers stop."""
        *early, last = self.examiner.rungs
        for num_items in early:
            yield num_items
            self.is_open = False
            worths = self._worths(num_items)
            if self.racers:
                losses = feasible_first([one.losses for one in worths], [one.violations for one in worths])
                errors = [one.errors for one in worths]
                kept = self.examiner.racing.survivors(np.array(losses), np.array(errors))
                self.racers = [self.racers[position] for position in kept]
        yield last
        self.is_open = False
        if (promotion := self.examiner.fitness.spec.promotion) is not None and self.examiner.is_sequential:
            self._keep_promising(last)
            yield promotion

    def next_items(self, number: int, num_items: int) -> dict[str, tuple[int, ...]]:
        """What a racer is asked next, by label; empty when it has answered so many items of each task."""
        return self.examiner.exam(self.number, self.progress).next(self.progress.sheet(number), num_items)

    def _keep_promising(self, num_items: int) -> None:
        """Keep the racers that no candidate of this search dominates, this generation's and those before."""
        worths, before = self._worths(num_items), self.progress.scored
        losses = [*(one.losses for one in worths), *(self.progress.losses[number] for number in before)]
        broken = [*(one.violations for one in worths), *(self.progress.violations[number] for number in before)]
        leading = not_dominated(feasible_first(losses, broken))
        self.racers = [number for position, number in enumerate(self.racers) if position in leading]

    def _worths(self, num_items: int) -> list[Worth]:
        """What the racers are worth after so many items of each task; those that failed are out."""
        self.racers = [number for number in self.racers if number not in self.progress.failures]
        exam_of = self.progress.generations
        return [self.examiner.worth(self.progress.sheet(n), exam_of[n], self.progress, num_items) for n in self.racers]
