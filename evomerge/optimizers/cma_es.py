"""CMA-ES as its authors implement it, for real genes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cma
import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import CmaEsConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome


class CmaEs:
    """`cma.CMAEvolutionStrategy`: real genes, one objective (Hansen 2016, "The CMA evolution strategy", 1604.00772).

    Its own termination criteria are never asked: a grid of few scores looks like convergence to them. Seeds beyond
    half a population are left out, for the distribution needs samples of its own.
    """

    def __init__(self, config: CmaEsConfig, start: Start) -> None:
        self._box = Box(start.genes)
        rng = seeds.generator(start.seed, "optimizers", "cma_es")
        options = {
            "bounds": [0.0, 1.0],
            # NaN and a generator of our own: any other seed would make pycma reseed NumPy's global one.
            "seed": math.nan,
            "randn": lambda *shape: rng.standard_normal(shape),
            "verbose": -9,
        }
        if config.population is not None:
            options["popsize"] = config.population
        self._es = cma.CMAEvolutionStrategy(self._box.first_mean(start.seeds), config.sigma0, options)
        self._seeds = tuple(start.seeds[: self._es.popsize // 2])
        self._es.inject([self._es.gp.geno(self._box.encode(genome)) for genome in self._seeds], force=True)
        self._samples: list[NDArray[np.float64]] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._samples = self._es.ask()  # what was injected comes first
        generation = [*self._seeds, *(self._box.decode(sample_D) for sample_D in self._samples[len(self._seeds) :])]
        self._seeds = ()
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._es.tell(self._samples, [single_loss(one) for one in scored])

    def favourite(self) -> Genome:
        """The mean of the distribution."""
        return self._box.decode(self._es.result.xfavorite)
