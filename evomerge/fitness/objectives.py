"""Objectives: what is optimised, as people read it and as optimisers do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from evomerge.errors import ConfigError, EvomergeError, Problem
from evomerge.fitness.estimators import Estimate, subset_mean
from evomerge.fitness.goals import Cost, Goal, Mean, cost_label
from evomerge.fitness.spec import FitnessSpec

Estimates: TypeAlias = Mapping[str, Estimate]
"""Task scores by label."""

ModelEstimates: TypeAlias = Mapping[str, Estimates]
"""Task scores of the models that candidates are compared with, by the model's name, on the candidate's items."""

NO_MODELS: ModelEstimates = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Objectives:
    """What is optimised.

    Attributes:
        parts: What each objective is made of, by its name, in the order of the document.
        directions: Whether higher is better, by label, of every task.
    """

    parts: Mapping[str, Goal]
    directions: Mapping[str, bool]

    @classmethod
    def of(cls, spec: FitnessSpec, directions: Mapping[str, bool], where: str) -> Objectives:
        """The objectives of a fitness document.

        Args:
            spec: The document.
            directions: Whether higher is better for each task's metric, by label.
            where: The document's name, for messages.

        Raises:
            ConfigError: If an objective mixes metrics to maximise with metrics to minimise.
        """
        ConfigError.raise_if_any(_mixed(spec, directions, where))
        return cls(dict(spec.objectives), dict(directions))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the document, which is that of the losses."""
        return tuple(self.parts)

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Labels of each objective's tasks."""
        return {name: part.tasks for name, part in self.parts.items()}

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """The direction of each objective."""
        return {name: isinstance(part, Mean) and self.directions[part.tasks[0]] for name, part in self.parts.items()}

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Names of the objectives whose losses have no largest value: means of metrics of which lower is better."""
        up = self.higher_is_better
        return tuple(name for name, part in self.parts.items() if isinstance(part, Mean) and not up[name])

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """How much a task's score moves an objective, by the objective's name and the label.

        They sum to 1; what was forgotten of a task moves with its score at most.
        """
        weights = {name: _weights(part) for name, part in self.parts.items()}
        return {
            name: {
                label: weight / math.fsum(weights[name])
                for label, weight in zip(part.tasks, weights[name], strict=True)
            }
            for name, part in self.parts.items()
        }

    def values(self, estimates: Estimates, models: ModelEstimates = NO_MODELS) -> dict[str, Estimate]:
        """Each objective's value with its standard error; tasks are taken to err independently.

        Args:
            estimates: By label, with what the merge costs (`costs_as_estimates`) where an objective says so; more
                labels than the objectives name do no harm.
            models: Of the models that objectives compare with.

        Raises:
            EvomergeError: If an objective compares with a model that is not among them.
        """
        return {name: self._value(part, estimates, models) for name, part in self.parts.items()}

    def losses(self, estimates: Estimates, models: ModelEstimates = NO_MODELS) -> tuple[float, ...]:
        """What an optimiser minimises: 1 - value, or the value itself where lower is better. Finite."""
        values = [value.value for value in self.values(estimates, models).values()]
        return self.from_losses(values)  # its own inverse

    def errors(self, estimates: Estimates, models: ModelEstimates = NO_MODELS) -> tuple[float, ...]:
        """The standard error of each loss, which is that of the objective's value."""
        return tuple(value.stderr for value in self.values(estimates, models).values())

    def from_losses(self, losses: Sequence[float]) -> tuple[float, ...]:
        """The objectives' values that `losses` stands for, as people read them."""
        directions = self.higher_is_better.values()
        return tuple(1 - loss if up else loss for loss, up in zip(losses, directions, strict=True))

    def _value(self, part: Goal, estimates: Estimates, models: ModelEstimates) -> Estimate:
        if isinstance(part, Cost):
            return estimates[part.label]
        if isinstance(part, Mean):
            return _mean([estimates[label] for label in part.tasks], _weights(part))
        before = estimates_of(models, part.of)
        lost = [_lost(before[label], estimates[label], self.directions[label]) for label in part.tasks]
        return _mean(lost, (1.0,) * len(lost))


def costs_as_estimates(costs: Mapping[str, float]) -> dict[str, Estimate]:
    """What a merge costs, as it stands among its scores: known exactly, without an item."""
    return {cost_label(name): Estimate(value, 0.0, 0) for name, value in costs.items()}


def estimates_of(models: ModelEstimates, name: str) -> Estimates:
    """A model's own estimates.

    Raises:
        EvomergeError: If they are not known.
    """
    if name not in models:
        raise EvomergeError(f"A candidate is compared with {name}, whose own scores are not known here.")
    return models[name]


def _weights(part: Goal) -> tuple[float, ...]:
    return (part.weights if isinstance(part, Mean) else None) or (1.0,) * len(part.tasks)


def _mean(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Σ w·value / Σ w, and √(Σ w²·stderr²) / Σ w."""
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    value = math.fsum(share * estimate.value for share, estimate in zip(shares, estimates, strict=True))
    stderr = math.hypot(*(share * estimate.stderr for share, estimate in zip(shares, estimates, strict=True)))
    return Estimate(value, stderr, sum(estimate.num_items for estimate in estimates))


def _lost(before: Estimate, after: Estimate, higher_is_better: bool) -> Estimate:
    """max(0, loss), with the standard deviation that it has if the loss errs normally.

    Far from 0 that is what the delta method gives: the standard error of the loss where something was lost, 0 where
    nothing was. Near 0, where the delta method would jump between the two, it is in between.
    """
    loss = before.value - after.value if higher_is_better else after.value - before.value
    return Estimate(max(0.0, loss), _rectified_sd(loss, _error_of_difference(before, after)), after.num_items)


def _error_of_difference(one: Estimate, other: Estimate) -> float:
    """That of paired differences where both rest on the same items, whose hardness is common to both."""
    if one.scores_I is None or other.scores_I is None or one.num_items == 1:
        return math.hypot(one.stderr, other.stderr)
    return subset_mean(one.scores_I - other.scores_I).stderr


def _rectified_sd(mean: float, sd: float) -> float:
    """Standard deviation of max(0, X), X normal."""
    if sd == 0:
        return 0.0
    z = mean / sd
    above, density = math.erfc(-z / math.sqrt(2)) / 2, math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first, second = z * above + density, (z * z + 1) * above + z * density
    return sd * math.sqrt(max(0.0, second - first * first))


def _mixed(spec: FitnessSpec, directions: Mapping[str, bool], where: str) -> Iterator[Problem]:
    for name, part in spec.objectives.items():
        lower = [label for label in part.tasks if not directions[label]]
        if 0 < len(lower) < len(part.tasks):
            what = (
                f"lower is better for {', '.join(lower)}, higher for the others; their mean says nothing. "
                "Make two objectives."
            )
            yield Problem(f"{where}: objectives.{name}", what)
