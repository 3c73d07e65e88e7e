"""Elites: the best recipe of every cell of a grid of objectives (MAP-Elites), to compare M2N2 with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.optimizers.base import Scored
from evomerge.optimizers.deb import violation
from evomerge.optimizers.m2n2.attraction import draw_other, draw_two
from evomerge.optimizers.m2n2.configs import MapElitesConfig
from evomerge.spaces.genes import Genome

Cell = tuple[int, ...]


class Elites:
    """One elite per cell (Mouret and Clune 2015, arXiv 1504.04909). See `Pool`.

    A cell is a bin of each objective, whose losses count as if cut to [0, 1]. An elite gives way to a candidate with a
    lower loss, summed over the objectives. What breaks a constraint is no elite. Parents are drawn by what their losses
    leave to 1, and differ where they can.
    """

    def __init__(self, config: MapElitesConfig) -> None:
        self._bins = config.bins
        self._elites: dict[Cell, tuple[float, Genome]] = {}

    @property
    def members(self) -> Sequence[Genome]:
        """The elites in the order in which their cells were found."""
        return [genome for _, genome in self._elites.values()]

    def take(self, genome: Genome, scored: Scored) -> None:
        """Let a candidate have its cell if it is the best of it."""
        if violation(scored):
            return
        cell = cell_of(scored.losses, self._bins)
        if cell not in self._elites or sum(scored.losses) < self._elites[cell][0]:
            self._elites[cell] = sum(scored.losses), genome

    def parents(self, rng: np.random.Generator) -> tuple[Genome, Genome]:
        """Two elites."""
        members = self.members
        losses_E = np.array([loss for loss, _ in self._elites.values()]) / len(next(iter(self._elites)))
        first, second = draw_two(np.clip(1.0 - losses_E, 0.0, 1.0), rng)
        return members[first], members[draw_other(len(members), first, rng) if second is None else second]

    @property
    def best(self) -> Genome:
        """See `Pool.best`."""
        return min(self._elites.values(), key=lambda elite: elite[0])[1]


def cell_of(losses: Sequence[float], bins: int) -> Cell:
    """The bin of every loss, cut to [0, 1]."""
    return tuple(min(int(place), bins - 1) for place in np.clip(losses, 0.0, 1.0) * bins)
