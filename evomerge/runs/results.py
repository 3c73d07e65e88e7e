"""Results: what a run's log says, as candidates, finalists and references with their scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from evomerge.documents import parse
from evomerge.errors import EvomergeError
from evomerge.execution import Responses
from evomerge.fitness import Estimate, Fitness
from evomerge.fitness.constraints import feasible_first, total_violation
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.fitness import Worth
from evomerge.fitness.items import SPLITS
from evomerge.fitness.objectives import costs_as_estimates
from evomerge.fitness.racing import ranked
from evomerge.fitness.rivals import rivals, scored_against
from evomerge.recipe import Recipe
from evomerge.runs.events import Asked, Assessed, Evaluated, Event, Failed, Finished, Told
from evomerge.runs.log import RunLog, identity_of
from evomerge.runs.progress import Progress
from evomerge.spaces.genes import Genome

Estimates = Mapping[str, Estimate]


@dataclass(slots=True)
class Candidate:
    """One genome that the search tried.

    Attributes:
        number: Its place in the order of asking.
        genome: What the optimiser proposed.
        digest: Of its recipe.
        losses: One per objective; empty while it is in flight.
        errors: Standard error of each.
        violations: How far each constraint is broken; 0 or less where it holds.
        estimates: Task scores on the search split; empty if it failed.
        failure: Why it failed.
        twin: The earlier candidate with the same recipe, if any.
        num_items: Answers behind the estimates.
        seconds: Wall time of merging and scoring.
        told_s: When it was told, in seconds since the run began.
    """

    number: int
    genome: Genome
    digest: str
    losses: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()
    estimates: Estimates = field(default_factory=dict)
    failure: str | None = None
    twin: int | None = None
    num_items: int = 0
    seconds: float = 0.0
    told_s: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it holds all constraints, as the search saw it."""
        return not total_violation(self.violations)

    @property
    def rank(self) -> tuple[float, float]:
        """What orders candidates: how far they break constraints, then the mean loss."""
        return total_violation(self.violations), sum(self.losses) / len(self.losses)


@dataclass(slots=True, eq=False)
class Contender:
    """A finalist or a reference, with its task scores on every split it was scored on.

    Attributes:
        name: For tables and figures.
        kind: `finalist` or `reference`; `rival` while the search goes on, for a model it is only compared with.
        digest: Of its recipe.
        recipe: What was merged.
        estimates: Task scores, by split; there are none of a split on which it failed, or on which a model that it is
            compared with is still to be scored.
        responses: The scores of single items behind them, by split.
        costs: Of the recipe, those that the fitness asks for.
    """

    name: str
    kind: str
    digest: str
    recipe: Recipe
    estimates: dict[str, Estimates] = field(default_factory=dict)
    responses: dict[str, Responses] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    def complete(self, split: str) -> bool:
        """Whether it has scores on a split."""
        return bool(self.estimates.get(split))


class Results:
    """A run as people read it."""

    def __init__(self, log: RunLog, fitness: Fitness) -> None:
        """Read the log.

        Args:
            log: The run's; it may be going on.
            fitness: The run's.
        """
        self.fitness = fitness
        self.candidates: list[Candidate] = []
        self.contenders: dict[str, Contender] = {}
        self.finished: str | None = None
        self.seconds = 0.0
        self.progress = Progress()
        self._log = log
        self._seed = int(identity_of(log).get("seed", 0))
        began_s: float | None = None
        for time_s, event in log.timed_events():
            began_s = time_s if began_s is None else began_s
            self._take(event, time_s - began_s)
        for split in SPLITS:
            self._settle(split)

    @property
    def finalists(self) -> list[Contender]:
        """Recipes that the search believes in, scored on unseen items."""
        return [contender for contender in self.contenders.values() if contender.kind == "finalist"]

    @property
    def references(self) -> list[Contender]:
        """What a merge must beat: each model alone, and the plain average."""
        return [contender for contender in self.contenders.values() if contender.kind == "reference"]

    @cached_property
    def scored(self) -> list[Candidate]:
        """Candidates that did not fail."""
        return [candidate for candidate in self.candidates if candidate.estimates]

    @cached_property
    def holding(self) -> list[Candidate]:
        """Candidates that did not fail and hold all constraints, as the search saw them."""
        return [candidate for candidate in self.scored if candidate.holds]

    @cached_property
    def best_so_far(self) -> list[Candidate]:
        """After every scored candidate, the best one yet: by its mean loss, or before any holds all constraints the one
        that breaks them least."""
        best: list[Candidate] = []
        for one in self.scored:
            best.append(best[-1] if best and best[-1].rank <= one.rank else one)
        return best

    def front(self, split: str = "selection") -> list[Contender]:
        """Finalists that no other finalist beats on all objectives of a split.

        One that breaks a constraint there is beaten by every one that holds them all.
        """
        complete = [contender for contender in self.finalists if contender.complete(split)]
        worths = [self.worth(contender, split) for contender in complete]
        losses = feasible_first([worth.losses for worth in worths], [worth.violations for worth in worths])
        return [complete[index] for index in ranked(losses)[0]] if complete else []

    def best(self) -> Contender:
        """Of the finalists that hold all constraints on the selection split, the one with the lowest mean loss there.

        Where none holds them, the one that breaks them least. The test split has no say.

        Raises:
            EvomergeError: If no finalist has been scored.
        """
        complete = [contender for contender in self.finalists if contender.complete("selection")]
        if not complete:
            raise EvomergeError("no finalist has been scored on the selection split yet. Resume the run first.")
        return min(complete, key=lambda contender: self.rank(contender, "selection"))

    def rank(self, contender: Contender, split: str) -> tuple[float, float]:
        """What orders contenders on a split: how far they break constraints, then the mean loss."""
        return total_violation(self.worth(contender, split).violations), self.mean_loss(contender, split)

    def mean_loss(self, contender: Contender, split: str) -> float:
        """Mean of the objectives' losses on a split."""
        losses = self.worth(contender, split).losses
        return sum(losses) / len(losses)

    def worth(self, contender: Contender, split: str) -> Worth:
        """Losses and violations on a split."""
        return self.fitness.worth(_all_estimates(contender, split), self.rivals(split))

    def values(self, one: Candidate | Contender, split: str = "search") -> dict[str, Estimate]:
        """The objectives' values of a candidate on the search split, or of a contender on any."""
        if isinstance(one, Candidate):
            return self.fitness.objectives.values(one.estimates, self.examiner.rival_estimates)
        return self.fitness.objectives.values(_all_estimates(one, split), self.rivals(split))

    def rivals(self, split: str) -> dict[str, Estimates]:
        """Scores on a split of the models that others are compared with; those that are not known are left out."""
        named = {name: self.contenders.get(name) for name in rivals(self.fitness.spec)}
        return {name: _all_estimates(one, split) for name, one in named.items() if one and one.complete(split)}

    def mean_of_tasks(self, contender: Contender, split: str) -> Estimate:
        """Mean over all tasks of the fitness, every task counting alike."""
        return mean(list(contender.estimates[split].values()))

    @cached_property
    def examiner(self) -> Examiner:
        """Who examined the candidates."""
        return examiner_of(self._log, self.fitness, self._seed)

    def _take(self, event: Event, at_s: float) -> None:
        self.seconds = at_s
        self.progress.take(event)
        match event:
            case Asked(number, genome, digest):
                self.candidates.append(Candidate(number, genome, digest))
                self.finished = None  # a run may be resumed with a larger budget
            case Evaluated(number=number, merge_s=merge_s, score_s=score_s, twin=twin):
                self.candidates[number].seconds += merge_s + score_s
                self.candidates[number].twin = twin
            case Failed(number, reason, seconds=seconds):
                self.candidates[number].failure = reason
                self.candidates[number].seconds += seconds
            case Told(number=number):
                self._tell(event, self.candidates[number], at_s)
            case Assessed(name=name, kind=kind, split=split, digest=digest, recipe=tree, responses=responses):
                contender = self.contenders.get(name)
                if contender is None or contender.digest != digest:  # a resumed run may have another favourite
                    recipe = parse(Recipe, dict(tree), name)
                    contender = self.contenders[name] = Contender(name, kind, digest, recipe)
                contender.kind, contender.responses[split] = kind, responses
                contender.costs = event.costs or contender.costs
            case Finished(reason):
                self.finished = reason

    def _tell(self, told: Told, candidate: Candidate, at_s: float) -> None:
        candidate.losses, candidate.errors, candidate.violations = told.losses, told.errors, told.violations
        candidate.told_s = at_s
        source = self.progress.sources[candidate.number]
        if candidate.failure is None:
            sheet = self.progress.sheets[source]
            candidate.estimates = self.examiner.exam(self.progress.generations[source], self.progress).estimates(sheet)
            candidate.num_items = sheet.num_items

    def _settle(self, split: str) -> None:
        """Make scores of a split's answers, unless the models that they are compared with are still to be scored."""
        answered = {one.name: one.responses[split] for one in self.contenders.values() if one.responses.get(split)}
        if not set(rivals(self.fitness.spec)) <= set(answered):
            return
        for name, responses in answered.items():
            contender = self.contenders[name]
            contender.responses[split] = scored_against(self.fitness.spec, responses, answered)
            contender.estimates[split] = self.fitness.estimates(responses, answered)


def _all_estimates(contender: Contender, split: str) -> Estimates:
    """Scores and costs."""
    return {**contender.estimates[split], **costs_as_estimates(contender.costs)}


def examiner_of(log: RunLog, fitness: Fitness, seed: int) -> Examiner:
    """The examiner of a run whose models have been scored.

    Raises:
        EvomergeError: If a model that candidates are compared with could not be scored.
    """
    before = itertools.takewhile(lambda event: not isinstance(event, Asked), log.events())
    models = [event for event in before if isinstance(event, Assessed) and event.responses]
    answers = {event.name: event.responses for event in models}
    parents = {event.name: event.responses for event in models if event.kind == "reference"}
    return Examiner(fitness, seed, parents, answers, {event.name: event.costs for event in models})


def mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates with its standard error."""
    values = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.stderr for estimate in estimates])
    number = len(estimates)
    return Estimate(
        float(values.mean()), float(np.sqrt((errors**2).sum()) / number), sum(e.num_items for e in estimates)
    )


def layers(losses: Sequence[tuple[float, ...]]) -> Iterator[int]:
    """Positions from the first layer to the last."""
    for layer in ranked(losses):
        yield from layer
