"""Constraints: how far a candidate is from what every merge must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evomerge.fitness.estimators import Estimate
from evomerge.fitness.goals import Constraint
from evomerge.fitness.objectives import NO_MODELS, ModelEstimates, Objectives, estimates_of


def violations(
    constraints: Sequence[Constraint],
    objectives: Objectives,
    estimates: Mapping[str, Estimate],
    models: ModelEstimates = NO_MODELS,
) -> tuple[float, ...]:
    """How far each constraint is broken, in the unit of what it bounds; 0 or less where it holds.

    Args:
        constraints: In the order of the document, which is that of the violations.
        objectives: Of the same document.
        estimates: The candidate's, by label.
        models: Those of the models that constraints compare with, by name and label, on the same items.

    Raises:
        EvomergeError: If a constraint compares with a model that is not among them.
    """
    return tuple(
        constraint.violation(
            _value(constraint, objectives, estimates, models),
            _value(constraint, objectives, estimates_of(models, constraint.of), models) if constraint.of else None,
        )
        for constraint in constraints
    )


def _value(
    constraint: Constraint, objectives: Objectives, estimates: Mapping[str, Estimate], models: ModelEstimates
) -> float:
    if constraint.task is not None:
        return estimates[constraint.task].value
    return objectives.values(estimates, models)[str(constraint.objective)].value
