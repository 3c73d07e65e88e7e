"""A sheet: everything that one candidate has answered, in the order in which it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evomerge.fitness.estimators import Scores


@dataclass(slots=True)
class Sheet:
    """Answers by task.

    Attributes:
        items: Positions of the documents that were asked, by label, first asked first.
        scores: Their scores in the metric's own unit, by label.
        costs: What the candidate costs, by name.
    """

    items: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    def add(self, items: Mapping[str, Sequence[int]], responses: Mapping[str, Scores]) -> None:
        """Take in the answers to one block of items."""
        for label, scores_I in responses.items():
            self.items.setdefault(label, []).extend(items[label])
            self.scores.setdefault(label, []).extend(scores_I.tolist())

    def sorted(self) -> tuple[dict[str, tuple[int, ...]], dict[str, Scores]]:
        """Items and scores by label, both in the order of the documents."""
        orders = {label: np.argsort(items, kind="stable") for label, items in self.items.items()}
        items = {label: tuple(np.array(self.items[label])[order].tolist()) for label, order in orders.items()}
        return items, {label: np.array(self.scores[label], np.float32)[order] for label, order in orders.items()}

    @property
    def num_items(self) -> int:
        """Answers of all tasks together."""
        return sum(map(len, self.items.values()))
