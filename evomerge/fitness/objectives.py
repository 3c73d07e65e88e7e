"""Objectives: means of tasks, as people read them and as optimisers do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evomerge.errors import ConfigError, Problem
from evomerge.fitness.estimators import Estimate
from evomerge.fitness.spec import FitnessSpec


@dataclass(frozen=True, slots=True)
class Objectives:
    """What is optimised.

    Attributes:
        members: Labels of each objective's tasks, by the objective's name, in the order of the document.
        higher_is_better: The direction of each objective.
        tasks_up: Whether higher is better, by label of every task, also of those that no objective names.
    """

    members: Mapping[str, tuple[str, ...]]
    higher_is_better: Mapping[str, bool]
    tasks_up: Mapping[str, bool]

    @classmethod
    def of(cls, spec: FitnessSpec, higher_is_better: Mapping[str, bool], where: str) -> Objectives:
        """The objectives of a fitness document.

        Args:
            spec: The document.
            higher_is_better: The direction of each task's metric, by label.
            where: The document's name, for messages.

        Raises:
            ConfigError: If an objective mixes metrics to maximise with metrics to minimise.
        """
        problems = []
        for name, labels in spec.objectives.items():
            if len({higher_is_better[label] for label in labels}) > 1:
                lower = ", ".join(label for label in labels if not higher_is_better[label])
                what = (
                    f"lower is better for {lower}, higher for the others; their mean says nothing. Make two objectives."
                )
                problems.append(Problem(f"{where}: objectives.{name}", what))
        ConfigError.raise_if_any(problems)
        directions = {name: higher_is_better[labels[0]] for name, labels in spec.objectives.items()}
        return cls(dict(spec.objectives), directions, {label: higher_is_better[label] for label in spec.tasks})

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the document, which is that of the losses."""
        return tuple(self.members)

    def values(self, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        """Each objective's value: the mean over its tasks, every task counting alike.

        Tasks are taken to err independently: the standard error is √(Σ stderr²) / number of tasks.

        Args:
            estimates: By label; more labels than the objectives name do no harm.
        """
        return {name: _mean([estimates[label] for label in labels]) for name, labels in self.members.items()}

    def losses(self, estimates: Mapping[str, Estimate]) -> tuple[float, ...]:
        """What an optimiser minimises: 1 - value, or the value itself where lower is better."""
        values = self.values(estimates)
        return tuple(1 - values[name].value if up else values[name].value for name, up in self.higher_is_better.items())

    def errors(self, estimates: Mapping[str, Estimate]) -> tuple[float, ...]:
        """Standard error of each loss."""
        return tuple(value.stderr for value in self.values(estimates).values())

    def from_losses(self, losses: Sequence[float]) -> tuple[float, ...]:
        """The objectives' values that `losses` stands for, as people read them."""
        directions = self.higher_is_better.values()
        return tuple(1 - loss if up else loss for loss, up in zip(losses, directions, strict=True))


def _mean(estimates: list[Estimate]) -> Estimate:
    number = len(estimates)
    value = math.fsum(estimate.value for estimate in estimates) / number
    stderr = math.sqrt(math.fsum(estimate.stderr**2 for estimate in estimates)) / number
    return Estimate(value, stderr, sum(estimate.num_items for estimate in estimates))
