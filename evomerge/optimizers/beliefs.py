"""What Gaussian processes believe about genomes, from what a search was told: losses, and whether constraints hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from evomerge.optimizers.gaussian_process import GaussianProcess
from evomerge.optimizers.told import Told
from evomerge.spaces.genes import Genome


class Beliefs:
    """One process per objective, and one of the largest violation as soon as a constraint was broken."""

    def __init__(self, told: Told) -> None:
        """Fit them to at least one candidate, each weighed by its standard errors."""
        self._told = told
        points_ND, excess_N = told.points(told.genomes), told.excess()
        self._losses = [
            GaussianProcess(points_ND, losses_N, errors_N)
            for losses_N, errors_N in zip(told.losses().T, told.errors().T, strict=True)
        ]
        is_bound = bool((excess_N > 0).any())
        self._excess = GaussianProcess(points_ND, excess_N, np.zeros(len(told))) if is_bound else None

    def losses(self, genomes: Sequence[Genome]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every objective, both (P, M)."""
        points_PD = self._told.points(genomes)
        predictions = [process.predict(points_PD) for process in self._losses]
        mean_PM, deviation_PM = (np.stack(part, axis=1) for part in zip(*predictions, strict=True))
        return mean_PM, deviation_PM

    def excess(self, genomes: Sequence[Genome]) -> NDArray[np.float64]:
        """Expected largest violation, (P,); 0 as long as no constraint was broken."""
        return np.zeros(len(genomes)) if self._excess is None else self._excess.predict(self._told.points(genomes))[0]

    def chance(self, genomes: Sequence[Genome]) -> NDArray[np.float64]:
        """Probability that all constraints hold, (P,)."""
        if self._excess is None:
            return np.ones(len(genomes))
        mean_P, deviation_P = self._excess.predict(self._told.points(genomes))
        return np.asarray(ndtr(-mean_P / np.maximum(deviation_P, 1e-12 * (1 + np.abs(mean_P)))))
