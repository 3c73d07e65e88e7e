"""The standing of finalists: how sure it is that each is on the front, and who dominates whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.runs.joint import NUM_DRAWS, Joint, dominance, membership
from evomerge.runs.results import Contender, Results

METHOD = (
    f"Probabilities are shares of {NUM_DRAWS:,} seeded draws from the normal distribution of the finalists' scores, "
    "with the covariance that their answers to the same selection items have; their standard error is at most 0.005."
)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What the selection items say of the finalists, their errors allowed for.

    Attributes:
        finalists: Those with selection scores, by how probably they are on the front.
        on_front: That probability, by name: that no other finalist dominates this one. With one objective, that it is
            the best.
        dominates: That the first dominates the second, by their names.
    """

    finalists: tuple[Contender, ...]
    on_front: Mapping[str, float]
    dominates: Mapping[tuple[str, str], float]


def standing(results: Results) -> Standing:
    """The standing of all finalists that have selection scores; empty before there are any."""
    complete = [finalist for finalist in results.finalists if finalist.complete("selection")]
    if not complete:
        return Standing((), {}, {})
    joint = Joint.of(results, complete, "selection")
    losses_SCO = joint.ranking_losses(joint.draws())
    names = [one.name for one in complete]
    on_front = dict(zip(names, membership(losses_SCO).tolist(), strict=True))
    pairs = [(one, other) for one in names for other in names]
    dominates = dict(zip(pairs, dominance(losses_SCO).ravel().tolist(), strict=True))
    return Standing(tuple(sorted(complete, key=lambda one: -on_front[one.name])), on_front, dominates)
