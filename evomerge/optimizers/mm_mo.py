"""Multi-objective Bayesian optimisation of merges, for fronts from very few candidates over any genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.beliefs import Beliefs
from evomerge.optimizers.configs_surrogates import MmMoConfig
from evomerge.optimizers.improvement import most_promising, room_beyond, undominated
from evomerge.optimizers.random_search import filled, first_generation
from evomerge.optimizers.start import Start
from evomerge.optimizers.told import Told
from evomerge.spaces.genes import FloatGene, Genome

POOL = 400
"""Candidates among which the acquisition chooses: half drawn anywhere, half made from good ones."""

FEWEST_GOOD = 4
"""So many good configurations have children, the front's members and others where it has fewer."""

STEPS = (0.03, 0.1, 0.3)
"""Standard deviations of mutations, as shares of a coordinate's range."""


class MmMo:
    """Bayesian optimisation after MM-MO: any genes, any number of objectives, constraints, noise.

    One Gaussian process per objective learns from all candidates and their standard errors; a generation is taken by
    expected hypervolume improvement over the front of the processes' means, which a lucky score does not move (Li et
    al. 2024, "It's morphing time", arXiv 2407.00487; under noise as Daulton, Balandat and Bakshy 2021, arXiv
    2105.08195). As there, it chooses among mutations of good configurations too ("weak to strong"), and may take
    sparsity as a further objective. The paper's filter by Fisher information is left out: it looks into the models,
    which no optimiser here does.
    """

    def __init__(self, config: MmMoConfig, start: Start) -> None:
        self._config = config
        self._start = start
        self._told = Told(start.genes)
        self._beliefs: Beliefs | None = None

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if not self._told:
            return first_generation(self._start, self._config.startup)
        rng = seeds.generator(self._start.seed, "optimizers", "mm_mo", str(len(self._told)))
        known_NM, _ = self._predicted(self._told.genomes)
        pool = self._pool(known_NM, rng)
        if not pool:
            return ()
        mean_PM, deviation_PM = self._predicted(pool)
        room_QM = room_beyond(self._feasible(known_NM), (mean_PM - 2 * deviation_PM).min(axis=0), rng)
        taken = most_promising(mean_PM, deviation_PM, self._believed().chance(pool), room_QM, self._config.population)
        return [pool[index] for index in taken]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._told.take(genomes, scored)
        self._beliefs = None

    def favourite(self) -> Genome | None:
        """The candidate whose losses, each scaled to what was seen, the processes believe lowest on average."""
        if not self._told:
            return None
        mean_NM, _ = self._believed().losses(self._told.genomes)
        range_M = np.ptp(mean_NM, axis=0)
        score_N = (mean_NM / np.where(range_M > 0, range_M, 1.0)).mean(axis=1)
        excess_N = np.maximum(self._told.excess(), 0.0)
        return self._told.genomes[int(np.lexsort((score_N, excess_N))[0])]

    def _believed(self) -> Beliefs:
        if self._beliefs is None:
            self._beliefs = Beliefs(self._told)
        return self._beliefs

    def _predicted(self, genomes: Sequence[Genome]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of every objective, both (P, M); sparsity, which is certain, is the last."""
        mean_PM, deviation_PM = self._believed().losses(genomes)
        if not self._config.sparsity:
            return mean_PM, deviation_PM
        magnitudes_P = self._magnitudes(genomes)
        return np.column_stack([mean_PM, magnitudes_P]), np.column_stack([deviation_PM, np.zeros(len(genomes))])

    def _feasible(self, known_NM: NDArray[np.float64]) -> NDArray[np.float64]:
        """What improvements are measured against; all candidates as long as none is feasible."""
        feasible_N = self._told.excess() <= 0
        return known_NM[feasible_N] if feasible_N.any() else known_NM

    def _pool(self, known_NM: NDArray[np.float64], rng: np.random.Generator) -> list[Genome]:
        """Genomes never proposed: children of good ones, then uniform ones."""
        told = self._told
        dominated_N = ~undominated(known_NM)
        best_first = np.lexsort((dominated_N, np.maximum(told.excess(), 0.0)))
        num_good = max(FEWEST_GOOD, int((~dominated_N).sum()))
        good_GD = told.points([told.genomes[i] for i in best_first[:num_good]])
        children = [told.box.decode(child_D) for child_D in _children(good_GD, POOL // 2, rng)]
        fresh = dict.fromkeys(child for child in children if child not in told.seen)
        return filled(list(fresh), POOL, self._start.genes, set(told.seen), rng)

    def _magnitudes(self, genomes: Sequence[Genome]) -> NDArray[np.float64]:
        """How far real genes are from 0 on average, as shares of their farthest end: small for sparse, quiet merges."""
        farthest = [
            max(abs(gene.low), abs(gene.high)) if isinstance(gene, FloatGene) else 0.0 for gene in self._start.genes
        ]
        shares = [
            [abs(float(value)) / end for value, end in zip(genome, farthest, strict=True) if end] for genome in genomes
        ]
        return np.array([sum(parts) / len(parts) if parts else 0.0 for parts in shares])


def _children(good_GD: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points between two good ones, some of whose coordinates are moved a little."""
    dimension = good_GD.shape[1]
    first_SD, second_SD = (good_GD[rng.integers(len(good_GD), size=size)] for _ in range(2))
    child_SD = np.where(rng.random((size, dimension)) < 0.25, second_SD, first_SD)
    steps_S1 = rng.choice(STEPS, size=(size, 1))
    moves_SD = rng.random((size, dimension)) < max(0.3, 1 / dimension)
    child_SD = child_SD + moves_SD * steps_S1 * rng.standard_normal((size, dimension))
    return np.asarray(np.clip(child_SD, 0.0, 1.0))
