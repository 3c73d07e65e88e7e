"""A search in stages: in each only some genes vary, and the others stand where the stages before have left them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import StagedConfig
from evomerge.optimizers.deb import violation
from evomerge.optimizers.losses import losses_of
from evomerge.optimizers.stages import ends_of, places_of
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, Genome


class Staged:
    """Block after block of genes, each with a driver of its own: any genes and objectives that the drivers take.

    Parameter space first and data flow on what came out (Akiba et al. 2024, arXiv 2403.13187, section 3.3), or
    densities first and scales then, each with an L1 term (Evo-Merging, arXiv 2509.12951).

    A stage ends before the generation that goes beyond its share of the candidates, or when its driver has nothing left
    to propose; of a first generation that is larger than the share as many are tried as fit, and the driver learns
    nothing. What it carries on is chosen among its own candidates by its own losses, with its L1 term: those of two
    stages are never compared. Candidates that break constraints least come first, then the lowest mean of the losses,
    each scaled to what the stage was told. The next stage starts there; the seeds of the search follow, as far as they
    lie in its genes.
    """

    def __init__(self, config: StagedConfig, start: Start) -> None:
        self._config = config
        self._start = start
        self._ends = ends_of(config.stages, config.budget or start.budget)
        self._asked = 0
        self._standing = start.origin
        for number in reversed(range(len(config.stages))):  # all of them, so that none fails halfway through a search
            self._begin(number)

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        while not (generation := self._next_generation()) and self._number + 1 < len(self._ends):
            self._standing = self._carried()
            self._begin(self._number + 1)
        self._asked += len(generation)
        return [self._whole(part) for part in generation]

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        parts = [self._part(genome) for genome in genomes]
        told = [self._penalised(part, one) for part, one in zip(parts, scored, strict=True)]
        self._genomes += genomes
        self._told += told
        if not self._is_cut:
            self._driver.learn(parts, told)

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. What the stage's driver believes, with the other genes where they stand."""
        part = self._driver.favourite()
        return None if part is None else self._whole(part)

    def _begin(self, number: int) -> None:
        from evomerge.optimizers.registry import OPTIMIZERS  # which knows this one by name

        self._number, self._stage = number, self._config.stages[number]
        self._places = places_of(self._stage.genes, self._start.genes)
        self._genomes: list[Genome] = []
        self._told: list[Scored] = []
        self._is_cut = False
        known = (self._standing, *self._start.seeds) if number or self._start.seeds else ()
        start = Start(
            [self._start.genes[place] for place in self._places],
            self._start.num_objectives,
            seed=seeds.integer(self._start.seed, "optimizers", "staged", str(number)),
            seeds=tuple(dict.fromkeys(map(self._part, known))),
            budget=self._ends[number] - self._asked,
        )
        self._driver = OPTIMIZERS[self._stage.driver.name].make(self._stage.driver, start)

    def _next_generation(self) -> Sequence[Genome]:
        """Of this stage; empty when it has ended."""
        if self._number + 1 == len(self._ends):  # which ends with the search
            return self._driver.propose()
        room = self._ends[self._number] - self._asked
        generation = self._driver.propose() if room else ()
        if len(generation) <= room:
            return generation
        self._is_cut = not self._told
        return generation[:room] if self._is_cut else ()

    def _carried(self) -> Genome:
        """What this stage leaves to the next."""
        if not self._told:
            return self._standing
        if self._config.carry == "favourite" and not self._is_cut and (favourite := self.favourite()) is not None:
            return favourite
        losses_NM = losses_of(self._told)
        ranges_M = np.ptp(losses_NM, axis=0)
        means_N = (losses_NM / np.where(ranges_M > 0, ranges_M, 1.0)).mean(axis=1)
        best = np.lexsort((means_N, [violation(one) for one in self._told]))[0]  # stable: of equals the first
        return self._genomes[int(best)]

    def _penalised(self, part: Genome, one: Scored) -> Scored:
        """With the stage's L1 term on every loss."""
        if not self._stage.l1:
            return one
        genes = [self._start.genes[place] for place in self._places]
        sizes = [abs(float(value)) for gene, value in zip(genes, part, strict=True) if not isinstance(gene, ChoiceGene)]
        term = self._stage.l1 * float(np.mean(sizes))
        return dataclasses.replace(one, losses=tuple(loss + term for loss in one.losses))

    def _part(self, genome: Genome) -> Genome:
        return tuple(genome[place] for place in self._places)

    def _whole(self, part: Genome) -> Genome:
        values = list(self._standing)
        for place, value in zip(self._places, part, strict=True):
            values[place] = value
        return tuple(values)
