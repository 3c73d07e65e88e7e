"""CMA-ES with learning-rate adaptation, for noisy losses of real genes."""

from __future__ import annotations

from collections.abc import Sequence

import cmaes
import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import CmaLrConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome


class CmaLr:
    """`cmaes.CMA` with `lr_adapt`: real genes, one objective.

    The learning rates of mean and covariance follow the signal-to-noise ratio of their updates (Nomura, Akimoto and
    Ono 2023, "CMA-ES with learning rate adaptation", arXiv 2304.03473), so the population can stay small under noise.
    """

    def __init__(self, config: CmaLrConfig, start: Start) -> None:
        self._box = Box(start.genes)
        self._cma = cmaes.CMA(
            mean=self._box.first_mean(start.seeds),
            sigma=config.sigma0,
            bounds=np.tile([0.0, 1.0], (self._box.dimension, 1)),
            # Samples outside the box are clipped at once: resampling them, as the library otherwise does, keeps the
            # distribution away from optima on the faces of the box.
            n_max_resampling=0,
            seed=seeds.integer(start.seed, "optimizers", "cma_lr"),
            population_size=config.population,
            lr_adapt=True,
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
