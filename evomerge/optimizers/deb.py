"""Constraints for algorithms that know one loss only: Deb's rule as a single number."""

from __future__ import annotations

from evomerge.optimizers.base import Scored


def violation(scored: Scored) -> float:
    """How far the constraints are broken in total; 0 where all hold."""
    return sum(max(part, 0.0) for part in scored.violations)


def single_loss(scored: Scored) -> float:
    """One number that orders candidates of one objective by Deb's rule; lower is better.

    A feasible candidate beats an infeasible one, feasible ones are ordered by loss and infeasible ones by violation
    (Deb 2000, "An efficient constraint handling method for genetic algorithms", section 3). Feasible candidates lie
    in [-1, 1], infeasible ones in (1, 2]: bounded, so that one huge loss cannot drown or overflow what the algorithm
    computes from the others.
    """
    if excess := violation(scored):
        return 1.0 + _squashed(excess)
    return _squashed(scored.losses[0])


def _squashed(value: float) -> float:
    return value / (1.0 + abs(value))
