"""Separable CMA-ES on parameter vectors, to compare M2N2 with."""

from __future__ import annotations

import cmaes
import numpy as np
import numpy.typing as npt

from evomerge.optimizers.m2n2.dense import Vectors


class DenseSepCma:
    """`cmaes.SepCMA` on every parameter, unbounded; the loss is minus the mean score.

    The full covariance that the authors of M2N2 used takes 3 GB for 19,210 parameters. Keeps the best vector ever.
    """

    def __init__(self, mean_D: Vectors, sigma0: float, population: int, seed: int) -> None:
        """Start around a vector.

        Args:
            mean_D: Mean of the first generation; vectors are asked in its dtype.
            sigma0: First standard deviation.
            population: Vectors per generation.
            seed: Of the library's own generator.
        """
        self._cma = cmaes.SepCMA(mean=mean_D.astype(np.float64), sigma=sigma0, population_size=population, seed=seed)
        self._dtype = mean_D.dtype
        self._samples: list[npt.NDArray[np.float64]] = []
        self._best: tuple[float, Vectors] = (-np.inf, mean_D)

    def ask(self) -> Vectors:
        """See `DenseStrategy.ask`: one generation."""
        self._samples = [self._cma.ask() for _ in range(self._cma.population_size)]
        return np.asarray(self._samples, dtype=self._dtype)

    def tell(self, scores_BI: npt.ArrayLike) -> None:
        """See `DenseStrategy.tell`."""
        quality_B = np.asarray(scores_BI, np.float64).mean(axis=1)
        top = int(np.argmax(quality_B))
        if quality_B[top] > self._best[0]:
            self._best = float(quality_B[top]), self._samples[top].astype(self._dtype)
        self._cma.tell(list(zip(self._samples, -quality_B, strict=True)))

    @property
    def best(self) -> Vectors:
        """See `DenseStrategy.best`."""
        return self._best[1]
