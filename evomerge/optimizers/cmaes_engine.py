"""The Gaussian strategies of the package cmaes behind `Engine`, for real genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import CmaLrConfig, SepCmaConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome


class CmaesEngine:
    """A strategy of `cmaes`: real genes on the unit box, one objective, constraints by Deb's rule."""

    def __init__(self, config: CmaLrConfig | SepCmaConfig, start: Start, make: Callable[..., Any]) -> None:
        """Start the distribution at the first seed or in the middle.

        Args:
            config: Population and first step.
            start: Where the search starts.
            make: The strategy.
        """
        self._box = Box(start.genes)
        self._cma = make(
            mean=self._box.first_mean(start.seeds),
            sigma=config.sigma0,
            bounds=np.tile([0.0, 1.0], (self._box.dimension, 1)),
            # Samples outside the box are clipped at once: resampling them, as the library otherwise does, keeps the
            # distribution away from optima on the faces of the box.
            n_max_resampling=0,
            seed=seeds.integer(start.seed, "optimizers", config.name),
            population_size=config.population,
        )
        self._samples: list[NDArray[np.float64]] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._samples = [self._cma.ask() for _ in range(self._cma.population_size)]
        return [self._box.decode(sample_D) for sample_D in self._samples]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        losses = [single_loss(one) for one in scored]
        self._cma.tell(list(zip(self._samples, losses, strict=True)))

    def favourite(self) -> Genome:
        """The mean of the distribution."""
        return self._box.decode(self._cma.mean)
