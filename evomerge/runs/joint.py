"""Joint errors: several contenders' scores on the same items, and what they make of who dominates whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from evomerge import seeds
from evomerge.fitness import Fitness, subset_mean
from evomerge.fitness.goals import Cost, Forgetting
from evomerge.fitness.spec import SplitName
from evomerge.runs.results import Contender, Results

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
        contenders: In the order of the first C of R rows; the others are the models that they are compared with.
        rivals: Row of each of these models, by name.
        costs: Of each of the R, those that the fitness asks for.
        fitness: Whose T tasks and O objectives these are.
        means_RT: Score of each on each task.
        covariance_KK: Of the errors of these scores; K = R·T, tasks of a row side by side.
    """

    contenders: tuple[Contender, ...]
    rivals: Mapping[str, int]
    costs: tuple[Mapping[str, float], ...]
    fitness: Fitness
    means_RT: Floats
    covariance_KK: Floats

    @classmethod
    def of(cls, results: Results, contenders: Sequence[Contender], split: SplitName) -> Joint:
        """Take in the responses of contenders that are complete on a split.

        Args:
            results: The run's.
            contenders: At least one.
            split: On which.
        """
        rivals = {name: len(contenders) + row for row, name in enumerate(results.rivals(split))}
        everyone = [*contenders, *(results.contenders[name] for name in rivals)]
        items, tasks = results.fitness.items(split), results.fitness.spec.tasks
        documents = dict.fromkeys((tasks[label].task, item) for label in tasks for item in items[label])
        places = {document: place for place, document in enumerate(documents)}
        means_RT = np.zeros((len(everyone), len(tasks)))
        errors_RTI = np.zeros((len(everyone), len(tasks), len(places)))
        for column, (label, entry) in enumerate(tasks.items()):
            places_I = [places[entry.task, item] for item in items[label]]
            for row, contender in enumerate(everyone):
                means_RT[row, column] = contender.estimates[split][label].value
                errors_RTI[row, column, places_I] = _errors(contender.responses[split][label].astype(np.float64))
        errors_KI = errors_RTI.reshape(-1, len(places))
        costs = tuple(one.costs for one in everyone)
        return cls(tuple(contenders), rivals, costs, results.fitness, means_RT, errors_KI @ errors_KI.T)

    def draws(self, number: int = NUM_DRAWS) -> Floats:
        """Task scores drawn from the distribution, shape (number, R, T); the same at every call."""
        variances_K, axes_KK = np.linalg.eigh(self.covariance_KK)
        variances_K[variances_K < 1e-12 * variances_K.max()] = 0  # else equal answers would draw apart
        standard_SK = seeds.generator(0, "runs", "joint").standard_normal((number, len(variances_K)))
        errors_SK = standard_SK @ (axes_KK * np.sqrt(variances_K)).T
        drawn_SRT: Floats = self.means_RT + errors_SK.reshape(number, *self.means_RT.shape)
        return drawn_SRT

    def values(self, scores_SRT: Floats, name: str) -> Floats:
        """An objective, or else a task, at some task scores, shape (S, C); equal to nine digits are equal."""
        values_SC: Floats = self._values(scores_SRT, name)[:, : len(self.contenders)]
        return values_SC

    def losses(self, scores_SRT: Floats) -> Floats:
        """The objectives' losses at some task scores, shape (S, C, O)."""
        directions = self.fitness.objectives.higher_is_better
        values = {name: self.values(scores_SRT, name) for name in directions}
        return np.stack([1 - values[name] if up else values[name] for name, up in directions.items()], axis=-1)

    def violations(self, scores_SRT: Floats) -> dict[str, Floats]:
        """How far each constraint of the run is broken, by its words, shape (S, C); 0 or less where it holds."""
        found: dict[str, Floats] = {}
        for constraint in self.fitness.spec.constraints:
            values_SR = self._values(scores_SRT, str(constraint.task or constraint.objective))
            rival_S1 = values_SR[:, [self.rivals[constraint.of]]] if constraint.of else None
            broken: Any = constraint.violation(cast(Any, values_SR), cast(Any, rival_S1))  # of all draws at once
            found[constraint.text] = broken[:, : len(self.contenders)].round(9)
        return found

    def ranking_losses(self, scores_SRT: Floats) -> Floats:
        """Losses with those who break constraints behind all others (Deb's rule; `fitness.constraints`), (S, C, O)."""
        losses_SCO = self.losses(scores_SRT)
        excess_SC = sum((np.maximum(broken, 0) for broken in self.violations(scores_SRT).values()), np.zeros(1))
        worst_S11 = losses_SCO.max(axis=(1, 2), keepdims=True)
        excess_SC1 = np.broadcast_to(excess_SC, losses_SCO.shape[:2])[..., None]
        return np.where(excess_SC1 > 0, worst_S11 + excess_SC1, losses_SCO)

    def _values(self, scores_SRT: Floats, name: str) -> Floats:
        """The same, of everyone, shape (S, R)."""
        labels, objectives = list(self.fitness.spec.tasks), self.fitness.objectives
        part = objectives.parts.get(name)
        if part is None:
            task_SR: Floats = scores_SRT[..., labels.index(name)].round(9)
            return task_SR
        if isinstance(part, Cost):  # known exactly
            return np.broadcast_to(np.array([costs[part.cost] for costs in self.costs]).round(9), scores_SRT.shape[:2])
        columns = [labels.index(label) for label in part.tasks]
        scores_SRM = scores_SRT[..., columns]
        if isinstance(part, Forgetting):
            up_M = np.array([1 if objectives.directions[label] else -1 for label in part.tasks])
            scores_SRM = np.maximum(0, (scores_SRM[:, [self.rivals[part.of]]] - scores_SRM) * up_M)
        shares_M = np.array([objectives.shares[name][label] for label in part.tasks])
        values_SR: Floats = (scores_SRM @ shares_M).round(9)
        return values_SR


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
