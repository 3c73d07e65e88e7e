"""C-TAEA, for fronts under constraints that are hard to meet, over any genes."""

from __future__ import annotations

from functools import partial

from pymoo.algorithms.moo.ctaea import CTAEA, RestrictedMating, comp_by_cv_dom_then_random

from evomerge.optimizers.configs import CTaeaConfig
from evomerge.optimizers.lattice import largest_lattice
from evomerge.optimizers.pymoo_engine import PymooEngine
from evomerge.optimizers.start import Start


class CTaea(PymooEngine):
    """`pymoo`'s C-TAEA: two objectives or more, with an archive that ignores the constraints.

    One archive converges on the feasible front; the other keeps candidates, feasible or not, where the first has none,
    and gives it parents from there (Li, Chen, Fu and Yao 2019, "Two-archive evolutionary algorithm for constrained
    multi-objective optimization", arXiv 1711.07907). A generation has one candidate per direction of a lattice.
    """

    def __init__(self, config: CTaeaConfig, start: Start) -> None:
        directions_KM = largest_lattice(start.num_objectives, config.population)
        super().__init__(
            config.name,
            start,
            len(directions_KM),
            partial(CTAEA, directions_KM),
            RestrictedMating(func_comp=comp_by_cv_dom_then_random),
            {"prob": 1.0, "eta": 30},
        )
