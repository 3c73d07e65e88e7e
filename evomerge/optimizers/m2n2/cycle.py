"""Cycle: one grid of elites per objective, whose quality takes turns (CycleQD)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.optimizers.base import Scored
from evomerge.optimizers.deb import violation
from evomerge.optimizers.m2n2.attraction import draw_other, draw_two
from evomerge.optimizers.m2n2.configs import CycleQdConfig
from evomerge.optimizers.m2n2.elites import Cell, cell_of
from evomerge.spaces.genes import Genome

_LEAST, _SPAN = 0.5, 0.8
"""An elite's chance is the product over objectives of 0.5 for the worst of the grid to 1.3 for its best."""


@dataclass(frozen=True, slots=True)
class _Elite:
    genome: Genome
    losses: tuple[float, ...]


class Cycle:
    """CycleQD's archives and its choice of parents (Kuroki et al. 2024, arXiv 2410.14735). See `Pool`.

    In the grid of an objective that is the quality, a cell is a bin of each of the other objectives, whose losses count
    as if cut to [0, 1]; an elite gives way to a candidate of lower loss in the quality. The quality changes with every
    pair of parents. What breaks a constraint is no elite. The paper also mutates along singular directions of task
    vectors, which a recipe of few coefficients does not have.
    """

    def __init__(self, config: CycleQdConfig) -> None:
        self._bins = config.bins
        self._grids: list[dict[Cell, _Elite]] = []
        self._turn = 0

    @property
    def members(self) -> Sequence[Genome]:
        """The elites of all grids, each once, in the order of the grids and of their cells."""
        return list(dict.fromkeys(elite.genome for grid in self._grids for elite in grid.values()))

    def take(self, genome: Genome, scored: Scored) -> None:
        """Let a candidate have its cell in every grid in which it is the best of it."""
        if violation(scored):
            return
        self._grids = self._grids or [{} for _ in scored.losses]
        places = cell_of(scored.losses, self._bins)
        for quality, grid in enumerate(self._grids):
            cell = (*places[:quality], *places[quality + 1 :])
            if cell not in grid or scored.losses[quality] < grid[cell].losses[quality]:
                grid[cell] = _Elite(genome, scored.losses)

    def parents(self, rng: np.random.Generator) -> tuple[Genome, Genome]:
        """Two elites of the grid whose turn it is; the second of any grid where that one has no other."""
        grid = list(self._grids[self._turn % len(self._grids)].values())
        self._turn += 1
        first, second = draw_two(_chances(np.array([elite.losses for elite in grid])), rng)
        if len(grid) > 1:
            return grid[first].genome, grid[draw_other(len(grid), first, rng) if second is None else second].genome
        others = [genome for genome in self.members if genome != grid[first].genome]
        return grid[first].genome, others[int(rng.integers(len(others)))]

    @property
    def best(self) -> Genome:
        """See `Pool.best`: the elite of lowest loss, summed over the objectives."""
        elites = [elite for grid in self._grids for elite in grid.values()]
        return min(elites, key=lambda elite: sum(elite.losses)).genome


def _chances(losses_EO: np.ndarray) -> np.ndarray:
    worst_O, best_O = losses_EO.max(0), losses_EO.min(0)
    range_O = np.where(worst_O > best_O, worst_O - best_O, 1.0)
    chances_E: np.ndarray = (_LEAST + _SPAN * (worst_O - losses_EO) / range_O).prod(1)
    return chances_E
