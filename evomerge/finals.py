"""The finals: what the search believes in, scored on items that it never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evomerge.documents import tree_of
from evomerge.execution import Executor, Items, Job, Outcome
from evomerge.fitness import Fitness
from evomerge.fitness.constraints import feasible_first
from evomerge.fitness.items import SPLITS
from evomerge.fitness.rivals import rivals
from evomerge.fitness.spec import SplitName
from evomerge.recipe import Recipe
from evomerge.recipe.references import parents, references
from evomerge.runs import Assessed, Event, RunLog
from evomerge.runs.progress import Progress
from evomerge.runs.results import layers
from evomerge.spaces import Genome, SearchSpace
from evomerge.spaces.lineage import LineageSpace


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipe to be assessed under a name."""

    name: str
    kind: str
    recipe: Recipe


def entries(
    space: SearchSpace | LineageSpace, progress: Progress, favourite: Genome | None, num_finalists: int
) -> list[Entry]:
    """Who enters: the search's best recipes, where it believes the optimum is, and the references.

    Args:
        space: The run's.
        progress: All candidates and their losses.
        favourite: The optimiser's belief, which on noisy fitness is often better than the best seen.
        num_finalists: How many distinct candidates, taken in layers of domination; those that break constraints last.
    """
    chosen: dict[str, Entry] = {}
    scored = progress.scored
    losses = feasible_first([progress.losses[n] for n in scored], [progress.violations[n] for n in scored])
    for position in layers(losses):
        number = scored[position]
        if len(chosen) < num_finalists:
            recipe = space.decode(progress.genomes[number])
            chosen.setdefault(progress.digests[number], Entry(f"candidate {number}", "finalist", recipe))
    if favourite is not None:
        recipe = space.decode(favourite)
        chosen.setdefault(recipe.digest, Entry("favourite", "finalist", recipe))
    some = space.decode(progress.genomes[0])
    return [*chosen.values(), *(Entry(name, "reference", recipe) for name, recipe in references(some).items())]


def models_in(recipe: Recipe, fitness: Fitness) -> list[Entry]:
    """The models that candidates are made of, and as rivals the others that they are compared with, each alone.

    Args:
        recipe: Any recipe of the search.
        fitness: The run's.
    """
    alone = references(recipe)
    kinds = dict.fromkeys(rivals(fitness.spec), "rival") | dict.fromkeys(parents(recipe), "reference")
    return [Entry(name, kind, alone[name]) for name, kind in kinds.items()]


def models_before(recipe: Recipe, fitness: Fitness) -> list[Entry]:
    """Those of `models_in` that must be scored on the search items before the first candidate."""
    if fitness.needs_parents:
        return models_in(recipe, fitness)
    compared_with = rivals(fitness.spec)
    named = [entry for entry in models_in(recipe, fitness) if entry.name in compared_with]
    return [dataclasses.replace(entry, kind="rival") for entry in named]


def assess(
    field: list[Entry],
    executor: Executor,
    fitness: Fitness,
    log: RunLog,
    watch: Callable[[Event], None],
    splits: Sequence[SplitName] = SPLITS,
) -> None:
    """Score every entry on every split that the log has no score of yet.

    Args:
        field: Who is scored.
        executor: Idle.
        fitness: The run's.
        log: Events go here; the test split is touched by no other part of evomerge.
        watch: Told every event after it was logged.
        splits: On which; the test split before the search is over would be a mistake.
    """
    done = {(event.digest, event.split, event.name) for event in log.events() if isinstance(event, Assessed)}
    pending = [job for job in _jobs(field, fitness, splits) if (job[0].recipe.digest, job[1], job[0].name) not in done]
    waiting = iter(enumerate(pending))
    flying = 0
    while True:
        while flying < executor.capacity and (entry := next(waiting, None)) is not None:
            number, (contender, _, items) = entry
            executor.submit(Job(number, contender.recipe, items))
            flying += 1
        if not flying:
            return
        for outcome in executor.wait():
            flying -= 1
            event = _event(*pending[outcome.number], outcome)
            log.append(event)
            watch(event)


def _jobs(
    field: list[Entry], fitness: Fitness, splits: Sequence[SplitName]
) -> Iterator[tuple[Entry, SplitName, Items]]:
    for entry in field:
        for split in splits:
            yield entry, split, fitness.items(split)


def _event(entry: Entry, split: str, items: Items, outcome: Outcome) -> Assessed:
    recipe, told = entry.recipe, (outcome.responses, outcome.failure, outcome.costs)
    return Assessed(entry.name, entry.kind, split, recipe.digest, tree_of(recipe), items, *told)
