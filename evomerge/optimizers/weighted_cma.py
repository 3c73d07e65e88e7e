"""A portfolio of CMA-ES, one per weighting of the objectives, for fronts from few candidates over any genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Engine, Scored
from evomerge.optimizers.catcma import CatCma
from evomerge.optimizers.configs import CatCmaConfig, SepCmaConfig, WeightedCmaConfig
from evomerge.optimizers.lattice import lattice
from evomerge.optimizers.losses import losses_of
from evomerge.optimizers.sep_cma import SepCma
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import FloatGene, Genome

AUGMENTATION = 0.05
"""Share of the sum in a Tchebycheff scalarisation, so that of equals in the worst objective the better one wins."""


class WeightedCma:
    """One CMA-ES per weight vector, taking turns: two objectives or more, constraints by Deb's rule.

    Losses are scaled to what has been seen, then made one number per weight vector by the augmented Tchebycheff norm
    (Steuer and Choo 1983, doi 10.1007/BF02591870; ρ = 0.05 as in ParEGO, Knowles 2006, doi 10.1109/TEVC.2005.851274)
    or by their weighted sum. Two real genes or more move by `sep_cma`, which learns fastest of the few candidates that
    each member sees, others by `catcma`. Equal weights have a head start, and the others start where they have come to.
    """

    def __init__(self, config: WeightedCmaConfig, start: Start) -> None:
        equal_M = np.full((1, start.num_objectives), 1 / start.num_objectives)
        corners_KM = lattice(start.num_objectives, config.divisions)
        self._weights_KM = np.concatenate([equal_M, corners_KM[(corners_KM != equal_M).any(axis=1)]])
        self._config = config
        self._start = start
        self._members: list[Engine] = []
        self._turn = 0
        self._head_start = config.head_start
        self._best_M = np.full(start.num_objectives, np.inf)
        self._worst_M = np.full(start.num_objectives, -np.inf)

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if self._turn == len(self._members):
            self._members.append(self._member(self._turn))
        return self._members[self._turn].propose()

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        losses_NM = losses_of(scored)
        self._best_M = np.minimum(self._best_M, losses_NM.min(axis=0))
        self._worst_M = np.maximum(self._worst_M, losses_NM.max(axis=0))
        ranges_M = self._worst_M - self._best_M
        scaled_NM = (losses_NM - self._best_M) / np.where(ranges_M > 0, ranges_M, 1.0)
        single_N = self._scalarised(scaled_NM, self._weights_KM[self._turn])
        told = [Scored((float(loss),), one.violations) for loss, one in zip(single_N, scored, strict=True)]
        self._members[self._turn].learn(genomes, told)
        self._head_start -= 1
        if self._head_start < 0:
            self._turn = (self._turn + 1) % len(self._weights_KM)

    def favourite(self) -> Genome | None:
        """Where equal weights believe the optimum is."""
        return self._members[0].favourite() if self._members else None

    def _scalarised(self, scaled_NM: NDArray[np.float64], weights_M: NDArray[np.float64]) -> NDArray[np.float64]:
        weighted_NM = scaled_NM * weights_M
        if self._config.scalarising == "sum":
            return np.asarray(weighted_NM.sum(axis=1))
        return np.asarray(weighted_NM.max(axis=1) + AUGMENTATION * weighted_NM.sum(axis=1))

    def _member(self, number: int) -> Engine:
        known = self.favourite()
        start = Start(
            self._start.genes,
            num_objectives=1,
            seed=seeds.integer(self._start.seed, "optimizers", "weighted_cma", str(number)),
            seeds=self._start.seeds if known is None else (known,),
            budget=self._start.budget,
        )
        population, sigma0 = self._config.population, self._config.sigma0
        if len(start.genes) > 1 and all(isinstance(gene, FloatGene) for gene in start.genes):
            return SepCma(SepCmaConfig(population=population, sigma0=sigma0), start)
        return CatCma(CatCmaConfig(population=population, sigma0=sigma0), start)
