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


def feasible_first(
    losses: Sequence[tuple[float, ...]], violations: Sequence[tuple[float, ...]]
) -> list[tuple[float, ...]]:
    """Losses by which candidates are ordered by Deb's rule (Deb 2000, section 3), for whoever knows no constraints.

    Whoever holds all constraints keeps its losses. The others are worse than all of those on every objective, and the
    worse the further they break their constraints in total.

    Args:
        losses: Of each candidate.
        violations: Of each candidate, in the same order.
    """
    excesses = [total_violation(broken) for broken in violations]
    held = [loss for own, excess in zip(losses, excesses, strict=True) if not excess for loss in own]
    worst = max(held, default=0.0)
    return [(worst + excess,) * len(own) if excess else own for own, excess in zip(losses, excesses, strict=True)]


def total_violation(violations: Sequence[float]) -> float:
    """How far the constraints are broken in total; 0 where all hold."""
    return sum(max(0.0, violation) for violation in violations)


def _value(
    constraint: Constraint, objectives: Objectives, estimates: Mapping[str, Estimate], models: ModelEstimates
) -> float:
    if constraint.task is not None:
        return estimates[constraint.task].value
    return objectives.values(estimates, models)[str(constraint.objective)].value
