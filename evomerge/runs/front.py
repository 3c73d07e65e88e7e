"""The front as numbers: the volume that it dominates, how far it reaches and how evenly it is filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pymoo.indicators.hv import HV

from evomerge.fitness.constraints import total_violation
from evomerge.fitness.items import SPLITS
from evomerge.fitness.racing import ranked
from evomerge.runs.results import Contender, Results

Losses: TypeAlias = tuple[float, ...]
"""One per objective, lower is better."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a set of losses reaches.

    Attributes:
        volume: Hypervolume of the set.
        size: Distinct members of its front.
        extent: Diagonal of the box that its front fills, √Σ (max - min)² (maximum spread; Zitzler, Deb and Thiele 2000).
        spacing: How unevenly its front is filled (Schott 1995): the standard deviation, over the members, of the
            distance Σ |difference| to the nearest other one. 0 is even. None for fewer than three members.
    """

    volume: float
    size: int
    extent: float
    spacing: float | None


def shape_of(losses: Sequence[Losses], point: Losses) -> Shape:
    """Describe a set.

    Args:
        losses: Of its members.
        point: From where its volume is measured.
    """
    if not losses:
        return Shape(0.0, 0, 0.0, None)
    front_MO = np.array(front_of(losses))
    extent = float(np.linalg.norm(np.ptp(front_MO, axis=0)))
    return Shape(hypervolume(losses, point), len(front_MO), extent, _spacing(front_MO))


def shapes(losses: Sequence[Losses | None], point: Losses) -> list[Shape]:
    """The shape of every beginning of a sequence.

    Args:
        losses: Of its members; None of those that do not count.
        point: From where volumes are measured.
    """
    front: list[Losses] = []
    found: list[Shape] = []
    for one in losses:
        if one is None or any(all(a <= b for a, b in zip(other, one, strict=True)) for other in front):
            found.append(found[-1] if found else shape_of([], point))
            continue
        front = front_of([*front, one])
        found.append(shape_of(front, point))
    return found


def front_of(losses: Sequence[Losses]) -> list[Losses]:
    """The distinct losses that no other of them dominates, ascending."""
    return sorted({losses[index] for index in ranked(losses)[0]})


def hypervolume(losses: Sequence[Losses], point: Losses) -> float:
    """Volume of what is dominated by some member and dominates the point (Zitzler and Thiele 1999), exact.

    Members that do not dominate the point add nothing.
    """
    return float(HV(ref_point=np.array(point))(np.array(losses))) if losses else 0.0


def held_losses(results: Results, contenders: Sequence[Contender], split: str) -> list[Losses]:
    """Losses on a split of those contenders that hold all constraints there."""
    worths = [results.worth(contender, split) for contender in contenders]
    return [worth.losses for worth in worths if not total_violation(worth.violations)]


def reference_point(results: Results) -> Losses:
    """The corner from which hypervolumes of a run are measured, the same on every split.

    Per objective it is loss 1, which is a score of 0 where higher is better: no accuracy is worse, so that all runs of
    one fitness share it. Where one of the references has a larger loss (a perplexity), it is the largest of theirs: a
    merge that is worse than all the models it is made of adds nothing, and a broken one cannot move the corner. Before
    the references are scored, candidates stand in for them.
    """
    marks = [results.worth(one, split).losses for one in results.references for split in SPLITS if one.complete(split)]
    marks = marks or [one.losses for one in results.scored]
    return tuple(max(1.0, *column) for column in zip(*marks, strict=True)) or (1.0,) * results.fitness.num_objectives


def point_in_words(results: Results, point: Losses) -> str:
    """The corner in the objectives' own units, and why it is that one."""
    objectives = results.fitness.objectives
    values = objectives.from_losses(point)
    corner = ", ".join(f"{name} {value:.3g}" for name, value in zip(objectives.names, values, strict=True))
    if all(loss == 1 for loss in point):
        return f"{corner}: loss 1 on every objective, which is common to all runs of this fitness"
    return f"{corner}: loss 1, or the worst of the references where that is larger"


def _spacing(front_MO: npt.NDArray[np.float64]) -> float | None:
    if len(front_MO) < 3:
        return None
    distances_MM = np.abs(front_MO[:, None] - front_MO).sum(axis=2)
    np.fill_diagonal(distances_MM, math.inf)
    return float(distances_MM.min(axis=1).std(ddof=1))
