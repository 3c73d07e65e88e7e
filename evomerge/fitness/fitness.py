"""Fitness: a document's tasks, items and objectives together, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self

from evomerge.fitness.banks import open_banks
from evomerge.fitness.constraints import violations
from evomerge.fitness.estimation import chosen_selector
from evomerge.fitness.estimators import Estimate, subset_mean
from evomerge.fitness.estimators.registry import ESTIMATORS
from evomerge.fitness.irt import Bank
from evomerge.fitness.items import SPLITS, ItemSplits, split_items
from evomerge.fitness.objectives import ModelEstimates, Objectives
from evomerge.fitness.rivals import Responses, scored_against
from evomerge.fitness.selectors.registry import needs
from evomerge.fitness.spec import FitnessSpec, SplitName

NO_RESPONSES: Mapping[str, Responses] = MappingProxyType({})

FEW = 100
"""A search split of so many items is asked whole unless the document names an estimator."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What an optimiser is told of a candidate.

    Attributes:
        losses: One finite number per objective; lower is better.
        errors: Standard error of each.
        violations: How far each constraint is broken; 0 or less where it holds.
    """

    losses: tuple[float, ...]
    errors: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitness:
    """What the driver of a search knows about scores.

    Attributes:
        spec: The document.
        splits: Who may see which items.
        objectives: What is optimised.
        banks: Item banks of the search splits, by label.
        widening: Factor by which candidates may differ more from what their parents lead to expect than merges of
            parameters do.
    """

    spec: FitnessSpec
    splits: ItemSplits
    objectives: Objectives
    banks: Mapping[str, Bank] = field(default_factory=dict)
    widening: float = 1.0

    @classmethod
    def open(cls, spec: FitnessSpec, where: str) -> Self:
        """Load a document's tasks and divide their items.

        Raises:
            ConfigError: With all problems of the tasks, their items, their banks and the objectives.
        """
        from evomerge.fitness.loading import load_tasks  # brings lm-eval along, which takes seconds

        tasks = load_tasks(spec, where)
        documents = {label: task.documents for label, task in tasks.items()}
        fingerprints = {label: task.fingerprint for label, task in tasks.items()}
        splits = split_items(documents, fingerprints, spec.splits, spec.items, where)
        directions = {label: task.higher_is_better for label, task in tasks.items()}
        versions = {label: str(task.task.VERSION) for label, task in tasks.items()}
        banks = open_banks(spec, splits, where, versions)
        return cls(spec, splits, Objectives.of(spec, directions, where), banks)

    @property
    def num_objectives(self) -> int:
        """How many losses a candidate has."""
        return len(self.objectives.names)

    def items(self, split: SplitName) -> dict[str, tuple[int, ...]]:
        """Positions of a split's items by label, of every task."""
        of_split: dict[str, tuple[int, ...]] = dict(getattr(self.splits, split))
        return of_split

    @property
    def search_items(self) -> dict[str, tuple[int, ...]]:
        """What candidates are asked: the search split of the tasks that objectives and constraints name."""
        return {label: self.splits.search[label] for label in self.spec.searched}

    def item_rows(self) -> Iterator[tuple[str, int, str, str]]:
        """(label, position, split, digest) of every item of any split."""
        for split in SPLITS:
            for label, positions in getattr(self.splits, split).items():
                for position in positions:
                    yield label, position, split, self.splits.digests[label][position]

    def estimates(self, responses: Responses, models: Mapping[str, Responses] = NO_RESPONSES) -> dict[str, Estimate]:
        """Each task's score from the responses, by label.

        Args:
            responses: By label.
            models: Those of the models that answers are compared with, to the same items.
        """
        scores = scored_against(self.spec, responses, models)
        return {label: replace(subset_mean(scores_I), scores_I=scores_I) for label, scores_I in scores.items()}

    def worth(self, estimates: Mapping[str, Estimate], models: ModelEstimates) -> Worth:
        """What an optimiser is told of a candidate with these task scores.

        Args:
            estimates: By label.
            models: Those of the models that it is compared with, on the same items.
        """
        return Worth(
            self.objectives.losses(estimates, models),
            self.objectives.errors(estimates, models),
            violations(self.spec.constraints, self.objectives, estimates, models),
        )

    @property
    def needs_parents(self) -> bool:
        """Whether estimates rest on what the models that candidates are made of answer on the search items."""
        estimator = self.spec.estimator
        if estimator is None:
            return any(len(self.splits.search[label]) > FEW for label in self.spec.searched)
        selector = chosen_selector(estimator, self.spec.selector)
        return "parents" in ESTIMATORS[estimator.name].needs or needs(selector) == "parents"
