"""Joint errors: several contenders' scores on the same items, and what they make of who dominates whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evomerge import seeds
from evomerge.fitness import Fitness, subset_mean
from evomerge.fitness.spec import SplitName
from evomerge.runs.results import Contender

NUM_DRAWS = 10_000
"""A share of so many draws has a standard error of at most .005."""

Floats = npt.NDArray[np.float64]


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
        generator = seeds.generator(0, "runs", "joint")
        draws_SK = generator.multivariate_normal(self.means_CT.ravel(), self.covariance_KK, number, method="eigh")
        return draws_SK.reshape(number, *self.means_CT.shape)

    def losses(self, scores_SCT: Floats) -> Floats:
        """The objectives' losses at some task scores, shape (S, C, O); equal to nine digits are equal."""
        objectives, labels = self.fitness.objectives, list(self.fitness.spec.tasks)
        columns = []
        for name, members in objectives.members.items():
            mean_SC = scores_SCT[..., [labels.index(label) for label in members]].mean(axis=-1)
            columns.append(1 - mean_SC if objectives.higher_is_better[name] else mean_SC)
        return np.stack(columns, axis=-1).round(9)


def dominance(losses_SCO: Floats) -> Floats:
    """Share of S draws in which contender a (row) dominates contender b (column), shape (C, C).

    One dominates another if it is worse on no objective and better on one.
    """
    rows = []
    for column in range(losses_SCO.shape[1]):
        one_S1O = losses_SCO[:, column : column + 1]
        rows.append(((one_S1O <= losses_SCO).all(axis=2) & (one_S1O < losses_SCO).any(axis=2)).mean(axis=0))
    return np.array(rows)


def membership(losses_SCO: Floats) -> Floats:
    """Share of S draws in which each contender is dominated by no other, shape (C,)."""
    shares = []
    for column in range(losses_SCO.shape[1]):
        one_S1O = losses_SCO[:, column : column + 1]
        beaten_SC = (losses_SCO <= one_S1O).all(axis=2) & (losses_SCO < one_S1O).any(axis=2)
        shares.append(1 - beaten_SC.any(axis=1).mean())
    return np.array(shares)


def _errors(scores_I: Floats) -> Floats:
    """What every item adds to the error of the mean: their squares sum to its squared standard error."""
    number = len(scores_I)
    if number == 1:
        return np.array([subset_mean(scores_I.astype(np.float32)).stderr])
    errors_I: Floats = (scores_I - scores_I.mean()) / math.sqrt(number * (number - 1))
    return errors_I
