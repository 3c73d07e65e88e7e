"""Finished runs with scores that a test writes down itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.documents import tree_of
from evomerge.fitness import Fitness, FitnessSpec, ItemSplits, Objectives
from evomerge.fitness.objectives import costs_as_estimates
from evomerge.recipe import Blend, ModelRef, Recipe
from evomerge.recipe.stages import Linear
from evomerge.runs import Asked, Assessed, Evaluated, Event, RunLog, Started, Told
from evomerge.runs.results import Results

Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""By contender and task, one score per item."""


@pytest.fixture
def make_results(tmp_path: Path) -> Iterator[Callable[..., Results]]:
    """Makes results of a run whose finalists have these scores on selection items, and the same on test items."""
    logs: list[RunLog] = []

    def make(
        finalists: Scores,
        references: Scores | None = None,
        objectives: Mapping[str, Any] | None = None,
        lower_is_better: Sequence[str] = (),
        harness_task: str | None = None,
        candidates: Sequence[Mapping[str, Sequence[float]]] = (),
        candidate_costs: Sequence[Mapping[str, float]] | None = None,
        **options: Any,
    ) -> Results:
        some = next(iter([*finalists.values(), *candidates]))
        spec = FitnessSpec.model_validate(
            {
                "evomerge": "fitness/1",
                "tasks": {label: {"task": harness_task or label, "metric": "acc"} for label in some},
                "objectives": objectives or {label: [label] for label in some},
                **options,
            }
        )
        directions = {label: label not in lower_is_better for label in some}
        items = {label: tuple(range(len(scores))) for label, scores in some.items()}
        splits = ItemSplits(items, items, items, digests={label: {} for label in some})
        fitness = Fitness(spec, splits, Objectives.of(spec, directions, "made_up.yaml"))
        log = RunLog.create(tmp_path / f"run {len(logs)}")
        logs.append(log)
        events: list[Event] = [Started({"seed": 0})]
        for name, scores in (references or {}).items():
            events.append(_assessed(name, "reference", "search", items, scores))
        models = {name: fitness.estimates(_responses(scores)) for name, scores in (references or {}).items()}
        for number, scores in enumerate(candidates):
            responses = _responses(scores)
            costs = candidate_costs[number] if candidate_costs else {}
            estimates = {**fitness.estimates(responses), **costs_as_estimates(costs)}
            worth = fitness.worth(estimates, models)
            evaluated = Evaluated(number, items, responses, costs=costs)
            events += [Asked(number, (0.5,), f"{number:064}"), evaluated, Told(number, worth.losses, violations=worth.violations)]
        for kind, group in (("finalist", finalists), ("reference", references or {})):
            for name, scores in group.items():
                for split in ("selection", "test"):
                    events.append(_assessed(name, kind, split, items, scores))
        log.append(*events)
        return Results(log, fitness)

    yield make
    for log in logs:
        log.close()


_RECIPE = Recipe(models={"a": ModelRef(path="a")}, blends={"b": Blend(experts=("a",), pipe=(Linear(reduce="sum"),))})


def _assessed(
    name: str, kind: str, split: str, items: dict[str, tuple[int, ...]], scores: Mapping[str, Sequence[float]]
) -> Assessed:
    return Assessed(name, kind, split, _RECIPE.digest, tree_of(_RECIPE), items, _responses(scores))


def _responses(scores: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    return {label: np.array(values, np.float32) for label, values in scores.items()}
