"""NSGA-III, for fronts of many objectives over any genes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.operators.selection.tournament import TournamentSelection

from evomerge.optimizers.configs import Nsga3Config
from evomerge.optimizers.lattice import largest_lattice
from evomerge.optimizers.pymoo_engine import PymooEngine
from evomerge.optimizers.start import Start


class Nsga3(PymooEngine):
    """`pymoo`'s NSGA-III: two objectives or more, constraints by Deb's rule.

    Survivors are chosen by rank of domination, then so that every direction of a lattice has its own (Deb and Jain
    2014, "An evolutionary many-objective optimization algorithm using reference-point-based nondominated sorting
    approach, part I", doi 10.1109/TEVC.2013.2281535; constraints part II, doi 10.1109/TEVC.2013.2281534).
    """

    def __init__(self, config: Nsga3Config, start: Start) -> None:
        directions_KM = largest_lattice(start.num_objectives, config.population)
        super().__init__(
            config.name,
            start,
            config.population,
            partial(NSGA3, directions_KM, pop_size=config.population),
            TournamentSelection(func_comp=_by_violation),
            {"prob": 1.0, "eta": 30},
        )


def _by_violation(pop: Any, pairs_P2: NDArray[np.int64], random_state: np.random.Generator, **_: Any) -> Any:
    """Of each pair the one of less violation, of equals either (part II, section II-B).

    pymoo's own comparison breaks ties of infeasible ones with the operating system's entropy: no run would repeat.
    """
    shuffled_P2 = random_state.permuted(pairs_P2, axis=1)
    violations_P2 = pop.get("CV")[:, 0][shuffled_P2]
    return np.take_along_axis(shuffled_P2, violations_P2.argmin(axis=1)[:, None], axis=1)
