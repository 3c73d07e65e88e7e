"""The search: ask, send, receive, tell, until the budget is spent. Everything is logged before it has an effect."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from evomerge.execution import Executor, Job, Outcome
from evomerge.fitness import Fitness
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.recipe import Recipe
from evomerge.runs import Asked, Evaluated, Event, Failed, RunLog, Told
from evomerge.runs.replay import Progress, replay
from evomerge.spaces import SearchSpace
from evomerge.spaces.lineage import LineageSpace

WORST_LOSS = 1.0
"""Of a candidate that fails before any other was scored: an accuracy of zero."""


@dataclass
class Search:
    """One search over one log. `run` may be called on a log that holds the beginning of the same search.

    Attributes:
        space: What may be merged.
        optimizer: Fresh, as it was when the run began.
        executor: Where candidates are scored.
        fitness: What better means.
        log: The run's memory; all that survives a crash.
        budget: Candidates to ask for.
        watch: Told every event after it was logged.
    """

    space: SearchSpace | LineageSpace
    optimizer: Optimizer
    executor: Executor
    fitness: Fitness
    log: RunLog
    budget: int
    watch: Callable[[Event], None] = lambda event: None
    _progress: Progress = field(default_factory=Progress)
    _flying: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _failed: list[Failed] = field(default_factory=list)

    def run(self) -> Progress:
        """Search until the budget is spent or the space is exhausted.

        Returns:
            Everything asked and told.
        """
        self._progress = replay(self.log, self.optimizer, self.fitness.item_scores)
        interrupted = deque(self._progress.in_flight)
        while True:
            while len(self._flying) < self.executor.capacity and (number := self._next(interrupted)) is not None:
                self._launch(number, self.space.decode(self._progress.genomes[number]))
            if self._failed and not self._flying:
                self._tell_failures()
            elif not self._flying:
                return self._progress
            for outcome in self.executor.wait():
                self._receive(outcome)

    def _next(self, interrupted: deque[int]) -> int | None:
        """A candidate that a crash left without an outcome, else a new one; None when there is nothing to propose."""
        if interrupted:
            return interrupted.popleft()
        if len(self._progress.genomes) == self.budget or (genome := self.optimizer.ask()) is None:
            return None
        number, digest = len(self._progress.genomes), self.space.decode(genome).digest
        self._log(Asked(number, genome, digest))
        self._progress.genomes.append(genome)
        self._progress.digests.append(digest)
        return number

    def _launch(self, number: int, recipe: Recipe) -> None:
        """Send a candidate, unless its recipe was scored before or is being scored."""
        if recipe.digest in self._progress.known:
            twin, responses = self._progress.known[recipe.digest]
            self._tell(Evaluated(number, self.fitness.search_items, responses, twin=twin))
            return
        self._flying[recipe.digest].append(number)
        if len(self._flying[recipe.digest]) == 1:
            self.executor.submit(Job(number, recipe, self.fitness.search_items))

    def _receive(self, outcome: Outcome) -> None:
        first, *twins = self._flying.pop(self._progress.digests[outcome.number])
        if outcome.failure is not None:
            self._failed += [Failed(number, outcome.failure, outcome.attempts) for number in (first, *twins)]
            return
        items = self.fitness.search_items
        timings = (outcome.merge_s, outcome.score_s, outcome.attempts)
        self._progress.known[self._progress.digests[first]] = (first, outcome.responses)
        self._tell(Evaluated(first, items, outcome.responses, *timings))
        for number in twins:
            self._tell(Evaluated(number, items, outcome.responses, twin=first))

    def _tell(self, result: Evaluated | Failed) -> None:
        losses = self.fitness.losses(result.responses) if isinstance(result, Evaluated) else self._worst()
        self._log(result, Told(result.number, losses))
        self._progress.losses[result.number] = losses
        if isinstance(result, Evaluated):
            self.optimizer.tell(result.number, Scored(losses, items_I=self.fitness.item_scores(result.responses)))
        else:
            self.optimizer.tell(result.number, Scored(losses))

    def _tell_failures(self) -> None:
        """Told last, when nothing is in flight, so that what was worst does not depend on who was first."""
        failures, self._failed = sorted(self._failed, key=lambda failure: failure.number), []
        for failure in failures:
            self._tell(failure)

    def _worst(self) -> tuple[float, ...]:
        """Per objective, the worst loss seen: rank-based optimisers need no more than the order."""
        told = list(self._progress.losses.values())
        return tuple(max(column) for column in zip(*told, strict=True)) or (WORST_LOSS,) * self.fitness.num_objectives

    def _log(self, *batch: Event) -> None:
        self.log.append(*batch)
        for event in batch:
            self.watch(event)
