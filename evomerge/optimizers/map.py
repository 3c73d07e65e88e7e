"""MAP: fronts of a quadratic surrogate, amortised over few real candidates, for few real genes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from evomerge import seeds
from evomerge.optimizers.base import Engine, Scored
from evomerge.optimizers.configs import Nsga2Config, Nsga3Config
from evomerge.optimizers.configs_surrogates import MapConfig
from evomerge.optimizers.improvement import most_promising, room_beyond, undominated
from evomerge.optimizers.map_design import by_directions, latin_hypercube
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

    With the placement `directions`, the paper's Bayesian form, half of the design is spread so and the rest lies in the
    directions in which the surrogates miss, a generation at a time; see `by_directions`. The paper stops at the first
    front. Its nested form, which merges two models at a time, is `MapNested`.
    """

    def __init__(self, config: MapConfig, start: Start) -> None:
        self._config = config
        self._start = start
        self._told = Told(start.genes)
        self._front: list[Genome] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        rng = seeds.generator(self._start.seed, "optimizers", "map", str(len(self._told)))
        if len(self._told) < self._design_size():
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

    def _design_size(self) -> int:
        dimension = len(self._start.genes)
        size = self._config.design or (dimension + 1) * (dimension + 2)
        return max(min(size, int(LARGEST_SHARE * (self._config.budget or self._start.budget))), self._config.population)

    def _design(self, rng: np.random.Generator) -> list[Genome]:
        """The seeds and a Latin hypercube; by directions half of it, and then the rest a generation at a time."""
        told = self._told
        size = self._design_size() - len(told)
        if told:
            size = min(size, self._config.population)
            known_ND = told.points(told.genomes)
            points_SD = by_directions(known_ND, self._misses(), size, self._config.temperature, rng)
        else:
            size = math.ceil(size / 2) if self._config.placement == "directions" else size
            points_SD = latin_hypercube(max(size - len(self._start.seeds), 0), len(self._start.genes), rng)
        genomes = dict.fromkeys([*self._start.seeds, *map(told.box.decode, points_SD)])
        new = [genome for genome in genomes if genome not in told.seen]
        return filled(new, size, self._start.genes, set(told.seen), rng)

    def _misses(self) -> NDArray[np.float64]:
        """Squared differences between surrogates and what they were fitted to, (N,), means over the objectives."""
        self._fit()
        losses_NM = self._told.losses()
        range_M = np.ptp(losses_NM, axis=0)
        shares_NM = (self._predicted(self._told.genomes)[0] - losses_NM) / np.where(range_M > 0, range_M, 1.0)
        return np.asarray((shares_NM**2).mean(axis=1))

    def _fit(self) -> None:
        """A surrogate of every objective, and one of the largest violation where there is any."""
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

    def _search(self) -> None:
        """Find the surrogates' front, if what was told has changed."""
        if self._front:
            return
        told = self._told
        self._fit()
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
