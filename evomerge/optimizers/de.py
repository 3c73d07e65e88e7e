"""Differential evolution, over any genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import DeConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome

with seeds.lent_generators():  # it draws from them when it is imported
    import nevergrad as ng

CROSSOVERS = {"uniform": 0.5, "two_points": "twopoints"}
"""What nevergrad calls them."""


class DifferentialEvolution:
    """`nevergrad`'s differential evolution: any genes, one objective (Storn and Price 1997; current-to-best).

    Whole numbers and choices move as real coordinates of the unit box, all in one array, because a tree of scalar
    parameters makes nevergrad slow. Its scalarisation of several objectives depends on the order of magnitude of the
    losses, so only one is accepted; nsga2 is for fronts.
    """

    def __init__(self, config: DeConfig, start: Start) -> None:
        self._box = Box(start.genes)
        point = ng.p.Array(init=np.full(self._box.dimension, 0.5)).set_mutation(sigma=1 / 6)
        # Before the bounds, on setting which nevergrad seeds a parameter without a state from NumPy's global generator.
        point.random_state = np.random.RandomState(seeds.integer(start.seed, "optimizers", "de"))
        point.set_bounds(0.0, 1.0, full_range_sampling=True)
        family = ng.optimizers.DifferentialEvolution(crossover=CROSSOVERS[config.crossover], popsize=config.population)
        self._de = family(point, budget=start.budget, num_workers=config.population)
        self._size = config.population
        self._seeds = tuple(start.seeds)
        self._candidates: list[Any] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        size = max(self._size, len(self._seeds))
        for genome in reversed(self._seeds):  # suggestions are a stack
            self._de.suggest(self._box.encode(genome))
        self._candidates = [self._de.ask() for _ in range(size)]
        sampled = self._candidates[len(self._seeds) :]
        generation = [*self._seeds, *(self._box.decode(candidate.value) for candidate in sampled)]
        self._seeds = ()
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for candidate, one in zip(self._candidates, scored, strict=True):
            self._de.tell(candidate, single_loss(one))

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. A population has no single centre."""
        return None
