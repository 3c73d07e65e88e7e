"""MAP-Elites on parameter vectors: the best member of every cell of a grid of skills, to compare M2N2 with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evomerge.optimizers.m2n2.attraction import draw_two
from evomerge.optimizers.m2n2.crossover import crossover, mutate
from evomerge.optimizers.m2n2.dense import Vectors
from evomerge.optimizers.m2n2.settings import M2N2Settings

Cell = tuple[int, ...]


class MapElites:
    """One elite per cell (Mouret and Clune 2015, arXiv 1504.04909), with M2N2's crossover and mutation.

    A cell is a bin of the mean score on each group of items; an elite gives way to a child with a higher mean score
    over all items. Parents are drawn by mean score and differ where they can. The authors of M2N2 let parents coincide
    as long as the mean scores of all elites add up to less than 2, and lose a child whose score on a group is perfect;
    here it falls into the last bin.
    """

    def __init__(
        self,
        settings: M2N2Settings,
        seeds_KD: Vectors,
        groups_I: npt.ArrayLike,
        rng: np.random.Generator,
        bins: int = 10,
    ) -> None:
        """Start from some models.

        Args:
            settings: Of the crossover and the mutation; what they say of archives is not used.
            seeds_KD: The first batch that is asked.
            groups_I: The group of every item: whole numbers from 0.
            rng: Draws parents, split points, weights and noise.
            bins: Bins per group.
        """
        self._settings = settings
        self._rng = rng
        self._bins = bins
        groups_I = np.asarray(groups_I)
        self._groups = [np.flatnonzero(groups_I == group) for group in range(int(groups_I.max()) + 1)]
        self._elites: dict[Cell, tuple[float, Vectors]] = {}
        self._asked_BD = seeds_KD

    def ask(self) -> Vectors:
        """See `DenseStrategy.ask`: first the seeds, then one child at a time."""
        if self._elites:
            first_D, second_D = self._parents()
            child_D = crossover(first_D, second_D, self._settings, self._rng)
            self._asked_BD = mutate(child_D, self._settings.mutation, self._rng)[None]
        return self._asked_BD

    def tell(self, scores_BI: npt.ArrayLike) -> None:
        """See `DenseStrategy.tell`."""
        for vector_D, scores_I in zip(self._asked_BD, np.asarray(scores_BI, np.float64), strict=True):
            cell, quality = self._cell(scores_I), float(scores_I.mean())
            if cell not in self._elites or quality > self._elites[cell][0]:
                self._elites[cell] = quality, vector_D

    @property
    def best(self) -> Vectors:
        """See `DenseStrategy.best`."""
        return max(self._elites.values(), key=lambda elite: elite[0])[1]

    def cells(self) -> dict[Cell, float]:
        """The mean score of every cell's elite."""
        return {cell: quality for cell, (quality, _) in self._elites.items()}

    def _cell(self, scores_I: npt.NDArray[np.float64]) -> Cell:
        skills = [scores_I[items].mean() for items in self._groups]
        return tuple(min(int(skill * self._bins), self._bins - 1) for skill in skills)

    def _parents(self) -> tuple[Vectors, Vectors]:
        elites = list(self._elites.values())
        first, second = draw_two(np.array([quality for quality, _ in elites]), self._rng)
        return elites[first][1], elites[first if second is None else second][1]
