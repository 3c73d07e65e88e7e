"""A screen before any driver: of what it proposes, only what a model of the losses thinks promising is tried."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.beliefs import Beliefs
from evomerge.optimizers.configs import ScreenedConfig
from evomerge.optimizers.improvement import most_promising, room_beyond
from evomerge.optimizers.start import Start
from evomerge.optimizers.told import Told
from evomerge.spaces.genes import Genome


class Screened:
    """Pre-selection: any driver, its genes and its objectives.

    Gaussian processes over the genome rank each generation by the hypervolume that its members promise together; the
    best share is tried, and the driver is told of the others what the processes expect and one standard deviation more,
    so that none of them passes for better than it is (individual-based evolution control: Jin 2011, "Surrogate-assisted
    evolutionary computation", doi 10.1016/j.swevo.2011.05.001, section 3).
    """

    def __init__(self, config: ScreenedConfig, start: Start) -> None:
        from evomerge.optimizers.registry import OPTIMIZERS  # which knows this one by name

        self._config = config
        self._start = start
        self._driver = OPTIMIZERS[config.driver.name].make(config.driver, start)
        self._told = Told(start.genes)
        self._generation: Sequence[Genome] = ()
        self._kept: list[int] = []
        self._expected: list[Scored] = []

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._generation = self._driver.propose()
        self._expected = []
        if len(self._told) < self._config.startup or not self._generation:
            return self._generation
        beliefs = Beliefs(self._told)
        mean_PM, deviation_PM = beliefs.losses(self._generation)
        rng = seeds.generator(self._start.seed, "optimizers", "screened", str(len(self._told)))
        room_QM = room_beyond(beliefs.losses(self._told.genomes)[0], (mean_PM - 2 * deviation_PM).min(axis=0), rng)
        size = math.ceil(self._config.keep * len(self._generation))
        self._kept = sorted(most_promising(mean_PM, deviation_PM, beliefs.chance(self._generation), room_QM, size))
        self._expected = [
            Scored(tuple(losses_M), (float(excess),))
            for losses_M, excess in zip(
                (mean_PM + deviation_PM).tolist(), beliefs.excess(self._generation), strict=True
            )
        ]
        return [self._generation[index] for index in self._kept]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._told.take(genomes, scored)
        if self._expected:
            for index, one in zip(self._kept, scored, strict=True):
                self._expected[index] = one
            scored = self._expected
        self._driver.learn(self._generation, scored)

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. What the driver believes."""
        return self._driver.favourite()
