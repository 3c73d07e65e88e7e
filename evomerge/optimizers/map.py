"""MAP: fronts of a quadratic surrogate, amortised over few real candidates, for few real genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evomerge import seeds
from evomerge.optimizers.base import Engine, Scored
from evomerge.optimizers.configs import Nsga2Config, Nsga3Config
from evomerge.optimizers.configs_surrogates import MapConfig
from evomerge.optimizers.improvement import most_promising, room_beyond, undominated
from evomerge.optimizers.nsga2 import Nsga2
from evomerge.optimizers.nsga3 import Nsga3
from evomerge.optimizers.quadratic import Quadratic
from evomerge.optimizers.random_search import filled
from evomerge.optimizers.start import Start
from evomerge.optimizers.told import Told
from evomerge.spaces.genes import Genome

MANY_OBJECTIVES = 3
"""From so many on, NSGA-III searches the surrogate."""

LARGEST_SHARE = 0.5
"""Of the budget at most that much goes into the design."""


class Map:
    """Amortised Pareto fronts (Li et al. 2024, "MAP", arXiv 2406.07529): real genes, any number of objectives.

    A design of (D + 1)(D + 2) points, twice the number of a quadratic's coefficients in D genes (section 3), or of
    half the budget where that is less, is spread evenly over the box. One `Quadratic` per objective is fitted, and
    NSGA-II or NSGA-III searches these alone. Of the front that they predict, and the layers behind it where it is
    small, the candidates that add most hypervolume are proposed for real; the surrogates are fitted anew, until the
    budget is spent. Constraints have a quadratic of their own.

    The paper stops at the first front; its nested form, which merges two tasks at a time, and its Bayesian one, which
    chooses the design by directions, are left out: `mm_mo` chooses candidates by uncertainty.
    """

    def __init__(self, config: MapConfig, start: Start) -> None:
        self._config = config
        self._start = start
        self._told = Told(start.genes)
        self._front: list[Genome] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        rng = seeds.generator(self._start.seed, "optimizers", "map", str(len(self._told)))
        if not self._told:
            return self._design(rng)
        self._search()
        if not self._front:
            return filled((), self._config.population, self._start.genes, set(self._told.seen), rng)
        losses_PM, _ = self._predicted(self._front)
        room_QM = room_beyond(self._predicted(self._told.genomes)[0], losses_PM.min(axis=0), rng)
        certain_PM, chance_P = np.zeros_like(losses_PM), np.ones(len(self._front))
        taken = most_promising(losses_PM, certain_PM, chance_P, room_QM, self._config.population)
        new = [self._front[index] for index in taken]
        return filled(new, self._config.population, self._start.genes, set(self._told.seen), rng)

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._told.take(genomes, scored)
        self._front = []

    def favourite(self) -> Genome | None:
        """Where the surrogates predict the lowest losses on average, each scaled to what they predict on the front."""
        if not self._told:
            return None
        self._search()
        if not self._front:
            return None
        losses_PM, _ = self._predicted(self._front)
        range_M = np.ptp(losses_PM, axis=0)
        return self._front[int(np.argmin((losses_PM / np.where(range_M > 0, range_M, 1.0)).mean(axis=1)))]

    def _design(self, rng: np.random.Generator) -> list[Genome]:
        """The seeds, then a Latin hypercube: every gene is cut into as many bins as there are points."""
        dimension = len(self._start.genes)
        size = self._config.design or (dimension + 1) * (dimension + 2)
        size = max(min(size, int(LARGEST_SHARE * self._start.budget)), self._config.population)
        num_points = max(size - len(self._start.seeds), 0)
        bins_ND = np.argsort(rng.random((num_points, dimension)), axis=0)
        points_ND = (bins_ND + rng.random((num_points, dimension))) / max(num_points, 1)
        genomes = [*self._start.seeds, *(self._told.box.decode(point_D) for point_D in points_ND)]
        return filled(list(dict.fromkeys(genomes)), size, self._start.genes, set(), rng)

    def _search(self) -> None:
        """Find the surrogates' front, if what was told has changed."""
        if self._front:
            return
        told = self._told
        points_ND = told.points(told.genomes)
        self._surrogates = [
            Quadratic(points_ND, losses_N, errors_N, self._config.link, self._config.reach)
            for losses_N, errors_N in zip(told.losses().T, told.errors().T, strict=True)
        ]
        excess_N = told.excess()
        is_bound = bool((excess_N > 0).any())
        self._constraint = (
            Quadratic(points_ND, excess_N, np.zeros(len(told)), "none", self._config.reach) if is_bound else None
        )
        inner, genomes = self._inner(), list[Genome]()
        for _ in range(self._config.generations):
            generation = inner.propose()
            inner.learn(generation, self._scored(generation))
            genomes += (genome for genome in generation if genome not in told.seen)
        if not genomes:  # every genome of a very small space is known
            return
        losses_PM, excess_P = self._predicted(genomes)
        # Where no candidate is predicted to keep the constraints, those that come nearest are the front.
        allowed = np.flatnonzero(excess_P <= max(float(excess_P.min()), 0.0))
        layers = NonDominatedSorting().do(losses_PM[allowed], n_stop_if_ranked=self._config.population)
        self._front = [genomes[i] for layer in layers for i in allowed[layer]]

    def _inner(self) -> Engine:
        """What searches the surrogates, starting from the best that was told."""
        told = self._told
        losses_NM, excess_N = self._predicted(told.genomes)
        best = np.lexsort((~undominated(losses_NM), excess_N))[: self._config.inner_population // 2]
        name = f"map/{len(told)}"
        start = Start(
            self._start.genes,
            self._start.num_objectives,
            seed=seeds.integer(self._start.seed, "optimizers", name),
            seeds=[told.genomes[i] for i in best],
            budget=self._config.inner_population * self._config.generations,
        )
        if self._start.num_objectives >= MANY_OBJECTIVES:
            return Nsga3(Nsga3Config(population=self._config.inner_population), start)
        return Nsga2(Nsga2Config(population=self._config.inner_population), start)

    def _predicted(self, genomes: Sequence[Genome]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses (P, M) and how far the constraints are broken (P,), 0 where they hold."""
        points_PD = self._told.points(genomes)
        losses_PM = np.stack([surrogate.predict(points_PD) for surrogate in self._surrogates], axis=1)
        if self._constraint is None:
            return losses_PM, np.zeros(len(genomes))
        return losses_PM, np.maximum(self._constraint.predict(points_PD), 0.0)

    def _scored(self, genomes: Sequence[Genome]) -> list[Scored]:
        losses_PM, excess_P = self._predicted(genomes)
        return [
            Scored(tuple(losses_M), (float(excess),))
            for losses_M, excess in zip(losses_PM.tolist(), excess_P, strict=True)
        ]
