"""Merges of two models with two coefficients, and what quadratics expect of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.optimizers.box import Box
from evomerge.optimizers.map_design import latin_hypercube
from evomerge.optimizers.quadratic import Link, Quadratic
from evomerge.spaces.genes import Genome

FARTHEST = 1.5
"""Largest coefficient: the best sums of task vectors often lie beyond the experts."""

SIDE = 31
"""So many values of each coefficient make the grid."""


class MapPair:
    """The plane of an origin o and models a and b: o + c₁(a - o) + c₂(b - o), both coefficients in [0, `FARTHEST`].

    Attributes:
        design: The two models themselves, then merges spread evenly, as a Latin hypercube.
        grid_P2: Coefficients among which merges are chosen.
    """

    def __init__(
        self, box: Box, origin: Genome, models: tuple[Genome, Genome], size: int, rng: np.random.Generator
    ) -> None:
        self._box = box
        self._origin_D = box.encode(origin)
        self._steps_2D = np.array([box.encode(model) for model in models]) - self._origin_D
        self._made = dict(zip(models, ((1.0, 0.0), (0.0, 1.0)), strict=True))
        for coefficients_2 in FARTHEST * latin_hypercube(size - len(models), 2, rng):
            self.merge(coefficients_2)
        self.design = tuple(self._made)
        axis_S = np.linspace(0, FARTHEST, SIDE)
        self.grid_P2 = np.stack(np.meshgrid(axis_S, axis_S), axis=-1).reshape(-1, 2)

    def merge(self, coefficients_2: NDArray[np.float64]) -> Genome:
        """The genome with these coefficients, or the nearest one in the box."""
        genome = self._box.decode(self._origin_D + coefficients_2 @ self._steps_2D)
        self._made.setdefault(genome, (float(coefficients_2[0]), float(coefficients_2[1])))
        return genome

    def expected(
        self,
        genomes: Sequence[Genome],
        values_NK: NDArray[np.float64],
        errors_NK: NDArray[np.float64],
        link: Link,
        reach: float,
    ) -> NDArray[np.float64]:
        """What quadratics, fitted to those of the genomes that were merged here, expect on the grid, (P, K)."""
        rows = [row for row, genome in enumerate(genomes) if genome in self._made]
        points_N2 = np.array([self._made[genomes[row]] for row in rows]) / FARTHEST
        surrogates = [
            Quadratic(points_N2, values_N, errors_N, link, reach)
            for values_N, errors_N in zip(values_NK[rows].T, errors_NK[rows].T, strict=True)
        ]
        return np.stack([surrogate.predict(self.grid_P2 / FARTHEST) for surrogate in surrogates], axis=1)
