"""Joint errors: several contenders' scores on the same items, and what they make of who dominates whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evomerge import seeds
from evomerge.fitness import Fitness, subset_mean
from evomerge.fitness.spec import SplitName
from evomerge.runs.results import Contender

NUM_DRAWS = 10_000
"""A share of so many draws has a standard error of at most .005."""

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Task scores of C contenders on common items, as a normal distribution of what they are on all items like these.

    Contenders answered the same items, so that what makes an item hard for both cancels in their difference. The
    covariance of two mean scores is Σ (x - x̄)(y - ȳ) / (n (n - 1)) over the n items, also of two tasks that read the
    same documents of the harness. Other tasks are taken to err independently.

    Attributes:
        contenders: In the order of the rows.
        fitness: Whose T tasks and O objectives these are.
        means_CT: Score of each contender on each task.
        covariance_KK: Of the errors of these scores; K = C·T, tasks of a contender side by side.
    """

    contenders: tuple[Contender, ...]
    fitness: Fitness
    means_CT: Floats
    covariance_KK: Floats

    @classmethod
    def of(cls, fitness: Fitness, contenders: Sequence[Contender], split: SplitName) -> Joint:
        """Take in the responses of contenders that are complete on a split.

        Args:
            fitness: The run's.
            contenders: At least one.
            split: On which.
        """
        items, tasks = fitness.items(split), fitness.spec.tasks
        documents = dict.fromkeys((tasks[label].task, item) for label in tasks for item in items[label])
        places = {document: place for place, document in enumerate(documents)}
        means_CT = np.zeros((len(contenders), len(tasks)))
        errors_CTI = np.zeros((len(contenders), len(tasks), len(places)))
        for column, (label, entry) in enumerate(tasks.items()):
            places_I = [places[entry.task, item] for item in items[label]]
            for row, contender in enumerate(contenders):
                scores_I = contender.responses[split][label]
                means_CT[row, column] = contender.estimates[split][label].value
                errors_CTI[row, column, places_I] = _errors(scores_I.astype(np.float64))
        errors_KI = errors_CTI.reshape(-1, len(places))
        return cls(tuple(contenders), fitness, means_CT, errors_KI @ errors_KI.T)

    def draws(self, number: int = NUM_DRAWS) -> Floats:
        """Task scores drawn from the distribution, shape (number, C, T); the same at every call."""
        variances_K, axes_KK = np.linalg.eigh(self.covariance_KK)
        variances_K[variances_K < 1e-12 * variances_K.max()] = 0  # else equal answers would draw apart
        standard_SK = seeds.generator(0, "runs", "joint").standard_normal((number, len(variances_K)))
        errors_SK = standard_SK @ (axes_KK * np.sqrt(variances_K)).T
        return self.means_CT + errors_SK.reshape(number, *self.means_CT.shape)

    def values(self, scores_SCT: Floats, name: str) -> Floats:
        """An objective, or else a task, at some task scores, shape (S, C); equal to nine digits are equal."""
        labels = list(self.fitness.spec.tasks)
        members = self.fitness.objectives.members.get(name, (name,))
        values_SC: Floats = scores_SCT[..., [labels.index(label) for label in members]].mean(axis=-1).round(9)
        return values_SC

    def losses(self, scores_SCT: Floats) -> Floats:
        """The objectives' losses at some task scores, shape (S, C, O)."""
        directions = self.fitness.objectives.higher_is_better
        values = {name: self.values(scores_SCT, name) for name in directions}
        return np.stack([1 - values[name] if up else values[name] for name, up in directions.items()], axis=-1)


def dominance(losses_SCO: Floats) -> Floats:
    """Share of S draws in which contender a (row) dominates contender b (column), shape (C, C).

    One dominates another if it is worse on no objective and better on one.
    """
    return np.array([_beaten_by(losses_SCO, place).mean(axis=0) for place in range(losses_SCO.shape[1])])


def unbeaten(losses_SCO: Floats) -> Flags:
    """Whether no other contender dominates this one, in each of S draws, shape (S, C)."""
    free_SC = np.ones(losses_SCO.shape[:2], bool)
    for place in range(losses_SCO.shape[1]):
        free_SC &= ~_beaten_by(losses_SCO, place)
    return free_SC


def membership(losses_SCO: Floats) -> Floats:
    """Share of S draws in which each contender is on the front, dominated by no other, shape (C,)."""
    shares_C: Floats = unbeaten(losses_SCO).mean(axis=0)
    return shares_C


def _beaten_by(losses_SCO: Floats, place: int) -> Flags:
    """Whom one contender dominates, shape (S, C)."""
    one_S1O = losses_SCO[:, place : place + 1]
    no_worse_SC: Flags = np.all(one_S1O <= losses_SCO, axis=2)
    better_SC: Flags = np.any(one_S1O < losses_SCO, axis=2)
    return no_worse_SC & better_SC


def _errors(scores_I: Floats) -> Floats:
    """What every item adds to the error of the mean: their squares sum to its squared standard error."""
    number = len(scores_I)
    if number == 1:
        return np.array([subset_mean(scores_I.astype(np.float32)).stderr])
    errors_I: Floats = (scores_I - scores_I.mean()) / math.sqrt(number * (number - 1))
    return errors_I
