"""Differential evolution, over any genes."""

from __future__ import annotations

from evomerge.optimizers.configs import DeConfig
from evomerge.optimizers.nevergrad_engine import NevergradEngine, ng
from evomerge.optimizers.start import Start

CROSSOVERS = {"uniform": 0.5, "two_points": "twopoints"}
"""What nevergrad calls them."""


class DifferentialEvolution(NevergradEngine):
    """`nevergrad`'s differential evolution, from current to best.

    A child is its parent moved by differences between others and towards the best (Storn and Price 1997,
    "Differential evolution", doi 10.1023/A:1008202821328).
    """

    def __init__(self, config: DeConfig, start: Start) -> None:
        make = ng.optimizers.DifferentialEvolution(crossover=CROSSOVERS[config.crossover], popsize=config.population)
        super().__init__(config.name, start, config.population, make, start.budget)
