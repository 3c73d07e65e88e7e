"""Particle swarm optimisation, over any genes."""

from __future__ import annotations

from evomerge.optimizers.configs import PsoConfig
from evomerge.optimizers.nevergrad_engine import NevergradEngine, ng
from evomerge.optimizers.start import Start


class ParticleSwarm(NevergradEngine):
    """`nevergrad`'s particle swarm, after Standard PSO 2011.

    Every particle keeps its speed and is drawn to the best point that it has seen and to the best of all (Kennedy and
    Eberhart 1995, doi 10.1109/ICNN.1995.488968; Zambrano-Bigiarini, Clerc and Rojas 2013, "Standard particle swarm
    optimisation 2011 at CEC-2013", doi 10.1109/CEC.2013.6557848).
    """

    def __init__(self, config: PsoConfig, start: Start) -> None:
        given = {"omega": config.inertia, "phip": config.pull, "phig": config.pull}
        known = {name: value for name, value in given.items() if value is not None}
        make = ng.optimizers.ConfPSO(popsize=config.population, **known)
        super().__init__(config.name, start, config.population, make, start.budget)
