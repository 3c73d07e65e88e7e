"""Fitness: a document's tasks, items and objectives together, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from evomerge.errors import ConfigError, Problem
from evomerge.fitness.estimators import Estimate, Scores, subset_mean
from evomerge.fitness.estimators.configs import MeanConfig
from evomerge.fitness.items import SPLITS, ItemSplits, split_items
from evomerge.fitness.loading import load_tasks
from evomerge.fitness.objectives import Objectives
from evomerge.fitness.spec import FitnessSpec, SplitName


@dataclass(frozen=True, slots=True)
class Fitness:
    """What the driver of a search knows about scores.

    Attributes:
        spec: The document.
        splits: Who may see which items.
        objectives: What is optimised.
    """

    spec: FitnessSpec
    splits: ItemSplits
    objectives: Objectives

    @classmethod
    def open(cls, spec: FitnessSpec, where: str) -> Self:
        """Load a document's tasks and divide their items.

        Raises:
            ConfigError: With all problems of the tasks, their items and the objectives, or if the document asks for an
                estimate from some of the search items only.
        """
        ConfigError.raise_if_any(_not_yet(spec, where))
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

    def item_scores(self, responses: Mapping[str, Scores]) -> Scores:
        """The score of every search item, task by task in the order of the document, higher is better, (I,)."""
        falls = {
            label
            for name, labels in self.objectives.members.items()
            for label in labels
            if not self.objectives.higher_is_better[name]
        }
        parts = [1 - responses[label] if label in falls else responses[label] for label in self.spec.searched]
        return np.concatenate(parts, dtype=np.float32)

    def losses(self, responses: Mapping[str, Scores]) -> tuple[float, ...]:
        """What an optimiser minimises, one number per objective."""
        return self.objectives.losses(self.estimates(responses))


def _not_yet(spec: FitnessSpec, where: str) -> Iterator[Problem]:
    """Searches score every candidate on all its search items; nothing may pass for an estimate that is not made."""
    for name in ("estimator", "selector"):
        if getattr(spec, name) not in (MeanConfig(), None):
            what = (
                "searches do not choose items by candidate yet. Remove it, and lower items.search to ask fewer items."
            )
            yield Problem(f"{where}: {name}", what)
