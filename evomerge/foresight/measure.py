"""Measures: a few candidates and the models, merged and scored for real, with what that cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np

from evomerge.errors import EvomergeError
from evomerge.execution import Executor, Job, Outcome, Responses
from evomerge.fitness import Fitness, FitnessSpec
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.rivals import rivals, scored_against
from evomerge.recipe import Recipe
from evomerge.recipe.references import parents as parents_of
from evomerge.recipe.references import references
from evomerge.study import Study

_BLOCK: Final = 10
"""Items of the first job on a task, as many as adaptive selectors ask at a time, but at most a third of them; the other
job has the rest."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What scoring costs a worker.

    Attributes:
        merge_s: Seconds to write one candidate's weights, once caches are warm.
        job_s: Seconds per request for answers, however many items it has.
        item_s: Seconds per item, by label.
        item_tokens: Tokens per item, by label; 0 where the harness does not count them.
    """

    merge_s: float
    job_s: float
    item_s: Mapping[str, float]
    item_tokens: Mapping[str, float]

    def seconds(self, num_items: Mapping[str, float]) -> float:
        """Of answering so many items by label, without merging and without the share of requests."""
        usual_s = sum(self.item_s.values()) / len(self.item_s)  # where the recipe that was to tell failed
        return sum(number * self.item_s.get(label, usual_s) for label, number in num_items.items())

    def tokens(self, num_items: Mapping[str, float]) -> float:
        """Of so many items by label."""
        return sum(number * self.item_tokens[label] for label, number in num_items.items())


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen.

    Attributes:
        candidates: Answers of the first candidates of the search on every search item, by label.
        models: Those of the models that they are made of or compared with, by name.
        parents: Names of those that they are made of.
        costs: Of scoring them.
        failures: What failed, and why, by name.
    """

    candidates: Sequence[Responses]
    models: Mapping[str, Responses]
    parents: tuple[str, ...]
    costs: Costs
    failures: Mapping[str, str]

    def examiner(self, fitness: Fitness, seed: int) -> Examiner:
        """Who would examine candidates so.

        Raises:
            EvomergeError: If a model that they are compared with could not be scored.
        """
        parents = {name: self.models[name] for name in self.parents if name in self.models}
        return Examiner(fitness, seed, parents, self.models)

    def scores(self, spec: FitnessSpec, answers: Responses) -> Responses:
        """Scores of a candidate or a model by label, with agreement made out of answers."""
        return scored_against(spec, answers, self.models)


@dataclass(slots=True)
class _Record:
    """All outcomes of one recipe, by what was asked of it."""

    first: dict[str, Outcome] = field(default_factory=dict)
    rest: dict[str, Outcome] = field(default_factory=dict)


def measure(study: Study, executor: Executor, num_candidates: int, watch: Callable[[str, int, int], None]) -> Measured:
    """Score the first candidates that the search would propose, and the models, on all search items.

    Tasks that no objective names cost time in the finals; a few of their items are asked of the first recipe.

    Args:
        study: What is planned.
        executor: Idle.
        num_candidates: How many.
        watch: Told what is done, how many requests are, and of how many.

    Raises:
        EvomergeError: If fewer than two candidates, or no model, could be scored.
    """
    alone, parents = references(study.some_recipe), tuple(parents_of(study.some_recipe))
    models = {name: alone[name] for name in dict.fromkeys((*parents, *rivals(study.fitness.spec)))}
    candidates = {f"candidate {number}": recipe for number, recipe in enumerate(_first(study, num_candidates))}
    recipes = models | candidates
    asked = list(_jobs(recipes, study))
    records: dict[str, _Record] = defaultdict(_Record)
    failures: dict[str, str] = {}
    for done, (index, outcome) in enumerate(_run(executor, [job for _, _, job in asked])):
        name, part, job = asked[index]
        if outcome.failure is not None:
            failures[name] = outcome.failure
        else:
            (label,) = job.items
            getattr(records[name], part)[label] = outcome
        watch(name, done + 1, len(asked))
    whole = {name: _whole(records[name], study) for name in recipes if name not in failures}
    scored = [whole[name] for name in candidates if name in whole]
    if len(scored) < 2 or not any(name in whole for name in models):
        why = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise EvomergeError(f"Too few candidates and models could be scored to plan with. {why or 'Measure more.'}")
    known = {name: whole[name] for name in models if name in whole}
    return Measured(scored, known, parents, _costs([records[name] for name in whole]), failures)


def _first(study: Study, number: int) -> list[Recipe]:
    """The first recipes that the optimiser proposes before it is told anything, different ones."""
    optimizer, found = study.optimizer(), dict[str, Recipe]()
    for _ in range(10 * number):
        if len(found) == number or (genome := optimizer.ask()) is None:
            break
        recipe = study.space.decode(genome)
        found.setdefault(recipe.digest, recipe)
    return list(found.values())


def _jobs(recipes: Mapping[str, Recipe], study: Study) -> Iterator[tuple[str, str, Job]]:
    """(name, part, job): every task in two requests, so that the cost of a request is told from that of an item."""
    number = 0
    unseen = {
        label: items for label, items in study.fitness.splits.search.items() if label not in study.fitness.spec.searched
    }
    for index, (name, recipe) in enumerate(recipes.items()):
        for label, items in (study.fitness.search_items | (unseen if index == 1 else {})).items():
            few = max(1, min(_BLOCK, len(items) // 3))
            parts = {"first": items[:few], "rest": items[few : 3 * few if label in unseen else None]}
            for part, some in parts.items():
                if some:
                    yield name, part, Job(number, recipe, {label: some})
                    number += 1


def _run(executor: Executor, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    """(position, outcome) as they come in."""
    waiting, flying = iter(jobs), 0
    while True:
        while flying < executor.capacity and (job := next(waiting, None)) is not None:
            executor.submit(job)
            flying += 1
        if not flying:
            return
        for outcome in executor.wait():
            flying -= 1
            yield outcome.number, outcome


def _whole(record: _Record, study: Study) -> Responses:
    """Scores on every search item by label."""
    found = {}
    for label in study.fitness.search_items:
        parts = [part[label].responses[label] for part in (record.first, record.rest) if label in part]
        found[label] = np.concatenate(parts)
    return found


def _costs(records: Sequence[_Record]) -> Costs:
    """Medians over the recipes but the first, on which caches are cold and items are worded."""
    warm = records[1:]
    outcomes = [[*record.first.values(), *record.rest.values()] for record in warm]
    labels = dict.fromkeys(label for record in warm for label in record.first)
    lines = {label: [_line(record, label) for record in warm if label in record.first] for label in labels}
    return Costs(
        merge_s=median(max(outcome.merge_s for outcome in some) for some in outcomes),
        job_s=median(job_s for line in lines.values() for job_s, _, _ in line),
        item_s={label: median(item_s for _, item_s, _ in line) for label, line in lines.items()},
        item_tokens={label: median(tokens for _, _, tokens in line) for label, line in lines.items()},
    )


def _line(record: _Record, label: str) -> tuple[float, float, float]:
    """Seconds of a request, seconds of an item and tokens of an item, from two requests of different lengths."""
    first, rest = record.first[label], record.rest.get(label)
    few = len(first.responses[label])
    if rest is None or (more := len(rest.responses[label])) <= few:
        total_s, tokens, number = first.score_s, first.tokens, few
        if rest is not None:
            total_s, tokens, number = total_s + rest.score_s, tokens + rest.tokens, few + more
        return 0.0, total_s / number, tokens / number
    item_s = max(0.0, rest.score_s - first.score_s) / (more - few)
    return max(0.0, first.score_s - few * item_s), item_s, (first.tokens + rest.tokens) / (few + more)
