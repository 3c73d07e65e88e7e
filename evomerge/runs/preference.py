"""Preferences: what a person wants of a front, as bounds on scores and a number to minimise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evomerge.runs.joint import Flags, Floats, Joint, unbeaten


@dataclass(frozen=True, slots=True)
class Bound:
    """What a score must reach.

    Attributes:
        name: Of an objective, or else of a task.
        limit: In the score's own unit.
        is_floor: Whether the score may not lie below the limit; otherwise, not above it.
    """

    name: str
    limit: float
    is_floor: bool

    def __str__(self) -> str:
        return f"{self.name} {'≥' if self.is_floor else '≤'} {self.limit:.4g}"

    def deficits(self, joint: Joint, scores_SRT: Floats) -> Floats:
        """How far each contender is from meeting it, shape (S, C); 0 or less where it does."""
        values_SC = joint.values(scores_SRT, self.name)
        return (self.limit - values_SC if self.is_floor else values_SC - self.limit).round(9)


@dataclass(frozen=True, slots=True)
class Preference:
    """What is wanted.

    Attributes:
        weights: Of the objectives' losses, by name; an objective without one counts 1.
        bounds: What must hold in any case.
        at_knee: Whether to take the knee of the front instead of the lowest weighted loss.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    at_knee: bool = False

    def deficits(self, joint: Joint, scores_SRT: Floats) -> dict[str, Floats]:
        """How far each contender is from every bound and from the run's own constraints, by their words, (S, C)."""
        own = {str(bound): bound.deficits(joint, scores_SRT) for bound in self.bounds}
        return own | joint.violations(scores_SRT)

    def eligible(self, joint: Joint, scores_SRT: Floats) -> Flags:
        """Who meets all of these, shape (S, C)."""
        met_SC = np.ones((len(scores_SRT), len(joint.contenders)), bool)
        for deficits_SC in self.deficits(joint, scores_SRT).values():
            met_SC &= deficits_SC <= 0
        return met_SC

    def keys(self, joint: Joint, scores_SRT: Floats) -> Floats:
        """What is minimised, shape (S, C); infinite for those who are not eligible.

        It is the mean loss Σ w·loss / Σ w. For the knee it is the sum of the losses, each scaled to [0, 1] between the
        best and the worst on the front of those who are eligible; it is infinite outside the front, and where it is not
        below 1, for such a member does not bulge out of the line or plane between the corners (Das 1999).
        """
        losses_SCO, eligible_SC = joint.losses(scores_SRT), self.eligible(joint, scores_SRT)
        if not self.at_knee:
            weights_O = np.array([self.weights.get(name, 1.0) for name in joint.fitness.objectives.names])
            return np.where(eligible_SC, losses_SCO @ weights_O / weights_O.sum(), np.inf).round(9)
        inside_SC1 = unbeaten(np.where(eligible_SC[..., None], losses_SCO, np.inf))[..., None] & eligible_SC[..., None]
        best_S1O = np.where(inside_SC1, losses_SCO, np.inf).min(axis=1, keepdims=True)
        worst_S1O = np.where(inside_SC1, losses_SCO, -np.inf).max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # where nobody is eligible
            span_S1O = np.where(worst_S1O > best_S1O, worst_S1O - best_S1O, 1.0)
            sums_SC = ((losses_SCO - best_S1O) / span_S1O).sum(axis=2).round(9)
        return np.where(inside_SC1[..., 0] & (sums_SC < 1), sums_SC, np.inf)
