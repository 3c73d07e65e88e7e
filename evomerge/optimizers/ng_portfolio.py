"""Nevergrad's own choice of algorithm for a search of given size, over any genes."""

from __future__ import annotations

from evomerge.optimizers.box import Box
from evomerge.optimizers.configs import NgPortfolioConfig
from evomerge.optimizers.nevergrad_engine import NevergradEngine, ng
from evomerge.optimizers.start import Start

PER_COORDINATE = 2000
"""Candidates per coordinate beyond which nevergrad chooses a surrogate that needs the package fcmaes."""


class NgPortfolio(NevergradEngine):
    """`nevergrad`'s `NgIohTuned`, which chooses by the number of genes, the budget and the population.

    A later member of the family of Meunier et al. 2022, "Black-box optimization revisited: improving algorithm
    selection wizards through massive benchmarking", arXiv 2010.04542. Its better known sibling `NGOpt` raises
    TypeError with NumPy 2.4 and leaves a thread behind that keeps the process from ending (nevergrad 1.0.12).
    """

    def __init__(self, config: NgPortfolioConfig, start: Start) -> None:
        planned = min(config.budget or start.budget, PER_COORDINATE * Box(start.genes).dimension)
        super().__init__(config.name, start, config.population, ng.optimizers.NgIohTuned, planned)
