"""NSGA-II, for fronts of several objectives over any genes."""

from __future__ import annotations

from functools import partial

from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.operators.selection.tournament import TournamentSelection

from evomerge.optimizers.configs import Nsga2Config
from evomerge.optimizers.pymoo_engine import PymooEngine
from evomerge.optimizers.start import Start


class Nsga2(PymooEngine):
    """`pymoo`'s NSGA-II: any number of objectives, constraints by Deb's rule.

    Survivors are chosen by rank of domination, then by the room around them (Deb, Pratap, Agarwal and Meyarivan 2002,
    "A fast and elitist multiobjective genetic algorithm: NSGA-II", doi 10.1109/4235.996017).
    """

    def __init__(self, config: Nsga2Config, start: Start) -> None:
        super().__init__(
            config.name,
            start,
            config.population,
            partial(NSGA2, pop_size=config.population),
            TournamentSelection(func_comp=binary_tournament),
            {"prob": 0.9, "eta": 15},
        )
