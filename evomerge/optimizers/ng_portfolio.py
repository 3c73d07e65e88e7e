"""Nevergrad's own choice of algorithm for a search of given size, over any genes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import NgPortfolioConfig, RandomConfig
from evomerge.optimizers.nevergrad_engine import NevergradEngine, ng
from evomerge.optimizers.random_search import RandomSearch
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome

PER_COORDINATE = 2000
"""Candidates per coordinate beyond which nevergrad chooses a surrogate that needs the package fcmaes."""


class NgPortfolio(NevergradEngine):
    """`nevergrad`'s `NgIohTuned`, which chooses by the number of genes, the budget and the population.

    A later member of the family of Meunier et al. 2022, "Black-box optimization revisited: improving algorithm
    selection wizards through massive benchmarking", arXiv 2010.04542. Its better known sibling `NGOpt` raises
    TypeError with NumPy 2.4 and leaves a thread behind that keeps the process from ending (nevergrad 1.0.12).

    For few candidates it chooses a design that fills the space and has an end; what comes after that is random.
    """

    def __init__(self, config: NgPortfolioConfig, start: Start) -> None:
        planned = min(config.budget or start.budget, PER_COORDINATE * Box(start.genes).dimension)
        planned = max(planned, config.population, len(start.seeds))
        super().__init__(config.name, start, config.population, ng.optimizers.NgIohTuned, planned)
        self._left = planned
        self._rest = RandomSearch(RandomConfig(population=config.population), dataclasses.replace(start, seeds=()))

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if self._optimizer.optim.one_shot:
            self._size = min(self._size, self._left)
        generation = super().propose() if self._size else self._rest.propose()
        self._left = max(self._left - len(generation), 0)
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        if self._size:
            super().learn(genomes, scored)
