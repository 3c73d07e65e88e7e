"""NSGA-II, for fronts of several objectives over any genes."""

from __future__ import annotations

from functools import partial

from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.operators.selection.tournament import TournamentSelection

from evomerge.optimizers.configs import Nsga2Config
from evomerge.optimizers.probable_ranks import NoisyNsga2
from evomerge.optimizers.pymoo_engine import PymooEngine
from evomerge.optimizers.start import Start


class Nsga2(PymooEngine):
    """`pymoo`'s NSGA-II: any number of objectives, constraints by Deb's rule.

    Survivors are chosen by rank of domination, then by the room around them (Deb, Pratap, Agarwal and Meyarivan 2002,
    "A fast and elitist multiobjective genetic algorithm: NSGA-II", doi 10.1109/4235.996017). With a `confidence` only
    domination that the standard errors leave that probable counts.
    """

    def __init__(self, config: Nsga2Config, start: Start) -> None:
        make = NSGA2 if config.confidence is None else partial(NoisyNsga2, config.confidence)
        super().__init__(
            config.name,
            start,
            config.population,
            partial(make, pop_size=config.population),
            TournamentSelection(func_comp=binary_tournament),
            {"prob": 0.9, "eta": 15},
        )
