"""The optimisers of nevergrad behind `Engine`, over any genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome

with seeds.lent_generators():  # it draws from them when it is imported
    import nevergrad as ng

__all__ = ["NevergradEngine", "ng"]  # so that nobody imports it otherwise


class NevergradEngine:
    """An optimiser of `nevergrad`: any genes, one objective, constraints by Deb's rule.

    Whole numbers and choices move as real coordinates of the unit box, all in one array, because a tree of scalar
    parameters makes nevergrad slow. Its scalarisation of several objectives depends on the order of magnitude of the
    losses, so only one is accepted; nsga2 is for fronts.
    """

    def __init__(self, name: str, start: Start, population: int, make: Callable[..., Any], budget: int) -> None:
        """Set the optimiser up.

        Args:
            name: The optimiser's, which seeds it.
            start: Where the search starts.
            population: Candidates per generation.
            make: The optimiser; called with a parameter, `budget` and `num_workers`.
            budget: Candidates that it plans for.
        """
        self._box = Box(start.genes)
        point = ng.p.Array(init=np.full(self._box.dimension, 0.5)).set_mutation(sigma=1 / 6)
        # Before the bounds, on setting which nevergrad seeds a parameter without a state from NumPy's global generator.
        point.random_state = np.random.RandomState(seeds.integer(start.seed, "optimizers", name))
        point.set_bounds(0.0, 1.0, full_range_sampling=True)
        self._optimizer = make(point, budget=budget, num_workers=population)
        self._size = population
        self._seeds = tuple(start.seeds)
        self._candidates: list[Any] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        size = max(self._size, len(self._seeds))
        for genome in reversed(self._seeds):  # suggestions are a stack
            self._optimizer.suggest(self._box.encode(genome))
        self._candidates = [self._optimizer.ask() for _ in range(size)]
        sampled = self._candidates[len(self._seeds) :]
        generation = [*self._seeds, *(self._box.decode(candidate.value) for candidate in sampled)]
        self._seeds = ()
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for candidate, one in zip(self._candidates, scored, strict=True):
            self._optimizer.tell(candidate, single_loss(one))

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. A population has no single centre."""
        return None
