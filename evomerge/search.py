"""The search: ask, send, receive, tell, until the budget is spent. Everything is logged before it has an effect."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from evomerge.errors import EvomergeError
from evomerge.execution import Executor, Job, Outcome
from evomerge.fitness.examiner import Examiner
from evomerge.generation import Generation
from evomerge.optimizers.base import Optimizer
from evomerge.recipe import Recipe
from evomerge.runs import Asked, Evaluated, Event, Failed, RunLog, Told
from evomerge.runs.budget import Budget
from evomerge.runs.progress import Progress
from evomerge.runs.replay import replay, scored
from evomerge.spaces import SearchSpace
from evomerge.spaces.lineage import LineageSpace

WORST_LOSS = 1.0
"""Of an accuracy of zero."""


@dataclass
class Search:
    """One search over one log. `run` may be called on a log that holds the beginning of the same search.

    Attributes:
        space: What may be merged.
        optimizer: Fresh, as it was when the run began.
        executor: Where candidates are scored.
        examiner: What they are asked.
        log: The run's memory; all that survives a crash.
        budget: When to end.
        largest: Most candidates of a generation where some items are asked; that of an optimiser which never waits
            would have no end.
        watch: Told every event after it was logged.
    """

    space: SearchSpace | LineageSpace
    optimizer: Optimizer
    executor: Executor
    examiner: Examiner
    log: RunLog
    budget: Budget
    largest: int = 100
    watch: Callable[[Event], None] = lambda event: None
    progress: Progress = field(default_factory=Progress)
    _flying: set[int] = field(default_factory=set)
    _recipes: dict[int, Recipe] = field(default_factory=dict)

    def run(self) -> Progress:
        """Search until the budget is spent or the space is exhausted.

        Returns:
            Everything asked and told.
        """
        self.progress = replay(self.log, self.optimizer, self.examiner)
        while True:
            generation = Generation(self.progress, self.examiner)
            for num_items in generation.rungs():
                self._examine(generation, num_items)
            if not generation.members:
                return self.progress
            self._tell_rest(generation)

    def _examine(self, generation: Generation, num_items: int) -> None:
        """Ask everyone who is still in the race, until they have answered so many items of each task."""
        waiting = deque(generation.racers)
        while True:
            while len(self._flying) < self.executor.capacity:
                if (number := waiting.popleft() if waiting else self._join(generation)) is None:
                    break
                self._send(generation, number, num_items)
            if not self._flying:
                return
            for outcome in self.executor.wait():
                self._receive(outcome)
                if outcome.failure is None:
                    waiting.appendleft(outcome.number)  # so that the worker that holds its weights goes on with it

    def _join(self, generation: Generation) -> int | None:
        """Ask for a candidate; None when there is nothing to propose, or none may join."""
        is_full = self.examiner.is_sequential and len(generation.members) >= self.largest
        has_begun = self.examiner.is_sequential and generation.members  # its length is no matter of who was fast
        is_spent = not (has_begun or self.budget.allows(self.progress.spent))
        number = len(self.progress.genomes)
        if not generation.is_open or is_full or is_spent or number >= self.budget.candidates:
            return None
        if (genome := self.optimizer.ask()) is None:
            return None
        recipe = self._recipes[number] = self.space.decode(genome)
        self._log(Asked(number, genome, recipe.digest, generation.number))
        generation.join(number)
        return number

    def _send(self, generation: Generation, number: int, num_items: int) -> None:
        """Send a candidate's next items, unless it has answered them or another with the same recipe answers."""
        source = self.progress.sources[number]
        if source == number and (items := generation.next_items(number, num_items)):
            self._flying.add(number)
            self.executor.submit(Job(number, self._recipe(number), items))
        elif not self.examiner.is_sequential and (source == number or source in self.progress.losses):
            for twin in [twin for twin in generation.members if self.progress.sources[twin] == source]:
                if twin not in self.progress.losses:
                    self._tell(self._verdict(twin))

    def _recipe(self, number: int) -> Recipe:
        """Decoded once, however many blocks of items are asked: its digest costs as much as an estimate."""
        if number not in self._recipes:
            self._recipes[number] = self.space.decode(self.progress.genomes[number])
        return self._recipes[number]

    def _receive(self, outcome: Outcome) -> None:
        self._flying.remove(outcome.number)
        if outcome.failure is not None:
            seconds = outcome.merge_s + outcome.score_s
            self._log(Failed(outcome.number, outcome.failure, outcome.attempts, seconds, outcome.tokens))
            return
        cost = (outcome.merge_s, outcome.score_s, outcome.attempts, None, outcome.tokens, outcome.costs)
        self._log(Evaluated(outcome.number, outcome.items, outcome.responses, *cost))

    def _tell_rest(self, generation: Generation) -> None:
        """In the order of asking, but failures last, so that what was worst does not depend on who was first.

        All in one transaction: a generation that was told of in part could not be raced again.
        """
        untold = [number for number in generation.members if number not in self.progress.losses]
        failed = [number for number in untold if self.progress.sources[number] in self.progress.failures]
        verdicts = [event for number in untold if number not in failed for event in self._verdict(number)]
        worst = self._worst([event for event in verdicts if isinstance(event, Told)])
        for number in failed:
            source = self.progress.failures[self.progress.sources[number]]
            twin = [] if source.number == number else [Failed(number, source.reason, source.attempts)]
            verdicts += [*twin, dataclasses.replace(worst, number=number)]
        self._tell(verdicts)

    def _verdict(self, number: int) -> list[Evaluated | Failed | Told]:
        """What a candidate is worth, after the answers if they are another's."""
        source = self.progress.sources[number]
        sheet = self.progress.sheets[source]
        worth = self.examiner.worth(sheet, self.progress.generations[source], self.progress)
        told = Told(number, worth.losses, worth.errors, worth.violations)
        return [told] if source == number else [Evaluated(number, *sheet.sorted(), twin=source), told]

    def _worst(self, verdicts: list[Told]) -> Told:
        """The worst losses and violations of these and those told before: rank-based optimisers need only the order.

        Where no candidate was scored yet, failing is no better than the worst model that candidates are made of.
        """
        constraints, progress = self.examiner.fitness.spec.constraints, self.progress
        losses = _worst([*progress.losses.values(), *(told.losses for told in verdicts)])
        violations = _worst([*progress.violations.values(), *(told.violations for told in verdicts)])
        return Told(
            number=-1,
            losses=losses or self._worst_of_models(),
            violations=violations or (WORST_LOSS,) * len(constraints),
        )

    def _worst_of_models(self) -> tuple[float, ...]:
        """Per objective, the worst loss of the models, or that of an accuracy of zero where it is worse.

        Raises:
            EvomergeError: If a loss may be larger than that, and no model's is known.
        """
        known = self.examiner.losses_of_models
        objectives = self.examiner.fitness.objectives
        if not known and (unbounded := objectives.unbounded):
            reason = next(iter(self.progress.failures.values())).reason
            raise EvomergeError(
                f"every candidate so far failed, the first because: {reason} A loss of {unbounded[0]} has no largest "
                "value that could be told in their place, so the search cannot go on. Mend the search space."
            )
        return _worst([(WORST_LOSS,) * len(objectives.names), *known])

    def _tell(self, verdicts: list[Evaluated | Failed | Told]) -> None:
        self._log(*verdicts)
        for told in verdicts:
            if isinstance(told, Told):
                self._recipes.pop(told.number, None)
                self.optimizer.tell(told.number, scored(told, self.progress, self.examiner))

    def _log(self, *batch: Event) -> None:
        self.log.append(*batch)
        for event in batch:
            self.progress.take(event)
            self.watch(event)


def _worst(told: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(max(column) for column in zip(*told, strict=True))
