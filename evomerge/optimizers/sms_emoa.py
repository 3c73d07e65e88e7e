"""SMS-EMOA, for fronts that cover the most hypervolume, over any genes."""

from __future__ import annotations

from functools import partial

from pymoo.algorithms.moo.sms import SMSEMOA, cv_and_dom_tournament
from pymoo.operators.selection.tournament import TournamentSelection

from evomerge.optimizers.configs import SmsEmoaConfig
from evomerge.optimizers.pymoo_engine import PymooEngine
from evomerge.optimizers.start import Start


class SmsEmoa(PymooEngine):
    """`pymoo`'s SMS-EMOA: two objectives or more, constraints by Deb's rule.

    Survivors are chosen by rank of domination, then by what they add to the hypervolume (Beume, Naujoks and Emmerich
    2007, "SMS-EMOA: multiobjective selection based on dominated hypervolume", doi 10.1016/j.ejor.2006.08.008). The
    paper makes one child at a time; here a whole generation competes, so that workers have something to do.
    """

    def __init__(self, config: SmsEmoaConfig, start: Start) -> None:
        super().__init__(
            config.name,
            start,
            config.population,
            partial(SMSEMOA, pop_size=config.population),
            TournamentSelection(func_comp=cv_and_dom_tournament),
            {"prob": 0.9, "eta": 15},
        )
