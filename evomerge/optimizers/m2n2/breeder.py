"""Breeding recipes: children of the members of a pool, which hold no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from evomerge import seeds
from evomerge.errors import EvomergeError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.m2n2.attraction import draw_pair
from evomerge.optimizers.m2n2.configs import CycleQdConfig, M2N2Config, MapElitesConfig
from evomerge.optimizers.m2n2.cycle import Cycle
from evomerge.optimizers.m2n2.elites import Elites
from evomerge.optimizers.m2n2.niches import Niches
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import Cross, Lineage
from evomerge.spaces.lineage.lattice import Chromosome

ATTEMPTS = 100
"""Children in a row that were born before, after which the lineage counts as exhausted."""


class Pool(Protocol):
    """Keeps members and chooses parents among them."""

    @property
    def members(self) -> Sequence[Genome]:
        """Who is kept."""

    def take(self, genome: Genome, scored: Scored) -> None:
        """Offer a candidate that did not fail."""

    def parents(self, rng: np.random.Generator) -> tuple[Genome, Genome]:
        """The parents of the next child; asked only where there are two members or more."""

    @property
    def best(self) -> Genome:
        """Of the members that break constraints least, the one with the lowest loss, summed over the objectives."""


class Breeder:
    """Breeds members of a lineage ("Competition and Attraction Improve Model Fusion", arXiv 2508.16204).

    The seeds are asked first, all of them. Then each generation is `batch` children of the pool as it is, which are
    offered to it one after the other in the order asked. Candidates that failed never enter.
    """

    def __init__(self, config: M2N2Config | MapElitesConfig | CycleQdConfig, start: Start) -> None:
        if start.lineage is None:
            raise EvomergeError("There is no lineage to breed members in.")
        self._config, self._lineage = config, start.lineage
        self._rng = seeds.generator(start.seed, "optimizers", config.name)
        self._founders = tuple(start.seeds) or self._lineage.founders
        self._sound: list[Genome] = []
        self._pool = _pool(config, start.lineage)
        self._seen: set[Genome] = set()
        self._num_children = 0

    @property
    def members(self) -> Sequence[Genome]:
        """The pool as it is."""
        return self._pool.members

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if not self._seen:
            self._seen.update(self._founders)
            return self._founders
        children: list[Genome] = []
        while len(children) < self._config.batch and (child := self._unseen()) is not None:
            children.append(child)
            self._num_children += 1
        return children

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for genome, result in zip(genomes, scored, strict=True):
            if result.items_I.size:
                self._pool.take(genome, result)
                self._sound += [genome] if genome in self._founders else []

    def favourite(self) -> Genome | None:
        """The best member of the pool. See `Engine.favourite`."""
        return self._pool.best if self.members else None

    def _unseen(self) -> Genome | None:
        """A child that was not born before, or any child where duplicates are kept; None after `ATTEMPTS`."""
        for _ in range(ATTEMPTS):
            first, second = self._parents()
            crosses = [self._cross(chromosome) for chromosome in self._lineage.lattice.chromosomes]
            child = self._lineage.mix(first, second, crosses, self._config.arc, self._config.angle)
            if child not in self._seen or self._config.duplicates == "keep":
                self._seen.add(child)
                return child
        return None

    def _parents(self) -> tuple[Genome, Genome]:
        if len(self.members) > 1 and self._num_children >= self._config.warm_up:
            return self._pool.parents(self._rng)
        founders = self._sound or self._founders  # of which all may have failed
        first, second = draw_pair(len(founders), self._rng)
        return founders[first], founders[second]

    def _cross(self, chromosome: Chromosome) -> Cross:
        """Where a chromosome is split and how much of the second parent comes before."""
        t = float(self._rng.random())
        match self._config.split:
            case "none":
                return Cross(chromosome.stop, t)
            case "fixed":
                return Cross(self._lineage.lattice.nearest(chromosome, 0.5), t)
            case "evolving":
                return Cross(self._lineage.lattice.nearest(chromosome, float(self._rng.random())), t)


def _pool(config: M2N2Config | MapElitesConfig | CycleQdConfig, lineage: Lineage) -> Pool:
    match config:
        case M2N2Config():
            return Niches(config, lineage)
        case MapElitesConfig():
            return Elites(config)
        case CycleQdConfig():
            return Cycle(config)
