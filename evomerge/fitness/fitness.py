"""Fitness: a document's tasks, items and objectives together, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from evomerge.fitness.estimation import chosen_selector
from evomerge.fitness.estimators import Estimate, Scores, subset_mean
from evomerge.fitness.estimators.registry import ESTIMATORS
from evomerge.fitness.irt import Bank
from evomerge.fitness.items import SPLITS, ItemSplits, split_items
from evomerge.fitness.loading import load_tasks
from evomerge.fitness.objectives import Objectives
from evomerge.fitness.selectors.registry import needs
from evomerge.fitness.spec import FitnessSpec, SplitName

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
    """

    spec: FitnessSpec
    splits: ItemSplits
    objectives: Objectives
    banks: Mapping[str, Bank] = field(default_factory=dict)

    @classmethod
    def open(cls, spec: FitnessSpec, where: str) -> Self:
        """Load a document's tasks and divide their items.

        Raises:
            ConfigError: With all problems of the tasks, their items and the objectives.
        """
        tasks = load_tasks(spec, where)
        documents = {label: task.documents for label, task in tasks.items()}
        fingerprints = {label: task.fingerprint for label, task in tasks.items()}
        splits = split_items(documents, fingerprints, spec.splits, spec.items, where)
        directions = {label: task.higher_is_better for label, task in tasks.items()}
        return cls(spec, splits, Objectives.of(spec, directions, where))

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
        """What candidates are asked: the search split of the tasks that objectives name."""
        return {label: self.splits.search[label] for label in self.spec.searched}

    def item_rows(self) -> Iterator[tuple[str, int, str, str]]:
        """(label, position, split, digest) of every item of any split."""
        for split in SPLITS:
            for label, positions in getattr(self.splits, split).items():
                for position in positions:
                    yield label, position, split, self.splits.digests[label][position]

    def estimates(self, responses: Mapping[str, Scores]) -> dict[str, Estimate]:
        """Each task's score from the responses, by label."""
        return {label: subset_mean(scores_I) for label, scores_I in responses.items()}

    def worth(self, estimates: Mapping[str, Estimate], models: Mapping[str, Mapping[str, Scores]]) -> Worth:
        """What an optimiser is told of a candidate with these task scores.

        Args:
            estimates: By label.
            models: Scores of the models on every search item, by name and label.
        """
        return Worth(self.objectives.losses(estimates), self.objectives.errors(estimates))

    @property
    def needs_models(self) -> bool:
        """Whether the models must be scored on the search items before the first candidate."""
        estimator = self.spec.estimator
        if estimator is None:
            return any(len(self.splits.search[label]) > FEW for label in self.spec.searched)
        selector = chosen_selector(estimator, self.spec.selector)
        return "parents" in ESTIMATORS[estimator.name].needs or needs(selector) == "parents"

    def is_higher_better(self, label: str) -> bool:
        """The direction of a task."""
        return self.objectives.tasks_up[label]
