"""M2N2 over recipes: parents chosen by competition and attraction, children that hold no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evomerge import seeds
from evomerge.errors import EvomergeError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import M2N2Config
from evomerge.optimizers.m2n2.archive import Archive
from evomerge.optimizers.m2n2.attraction import draw_pair
from evomerge.optimizers.m2n2.competition import Floats
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import Cross
from evomerge.spaces.lineage.lattice import Chromosome

ATTEMPTS = 100
"""Children in a row that were born before, after which the lineage counts as exhausted."""


class Breeder:
    """Breeds members of a lineage ("Competition and Attraction Improve Model Fusion", arXiv 2508.16204).

    The seeds are asked first, all of them. Then each generation is `batch` children of the archive as it is, which are
    offered to it one after the other in the order asked. Candidates that failed have no scores and never enter.
    """

    def __init__(self, config: M2N2Config, start: Start) -> None:
        if start.lineage is None:
            raise EvomergeError("M2N2 over recipes breeds members of a lineage; there is none.")
        self._config, self._lineage = config, start.lineage
        self._rng = seeds.generator(start.seed, "optimizers", "m2n2")
        self._founders = tuple(start.seeds) or self._lineage.founders
        self._archive: Archive[Genome] = Archive(config)
        self._losses: dict[Genome, float] = {}
        self._seen: set[Genome] = set()
        self._num_children = 0

    @property
    def members(self) -> Sequence[Genome]:
        """The archive as it is."""
        return self._archive.members

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if not self._seen:
            self._seen.update(self._founders)
            return self._founders
        children: list[Genome] = []
        members = self._archive.members
        kinship_PP = self._lineage.kinship(members) if self._config.kinship and members else None
        while len(children) < self._config.batch and (child := self._unseen(kinship_PP)) is not None:
            children.append(child)
            self._num_children += 1
        return children

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for genome, result in zip(genomes, scored, strict=True):
            if result.items_I.size:
                self._losses[genome] = sum(result.losses)
                self._archive.insert(genome, np.clip(result.items_I, 0.0, 1.0))
        self._losses = {member: self._losses[member] for member in self._archive.members}

    def favourite(self) -> Genome | None:
        """The member of the archive with the lowest loss, summed over the objectives. See `Engine.favourite`."""
        return min(self._losses, key=lambda member: self._losses[member], default=None)

    def _unseen(self, kinship_PP: Floats | None) -> Genome | None:
        """A child that was not born before, or any child where duplicates are kept; None after `ATTEMPTS`."""
        for _ in range(ATTEMPTS):
            first, second = self._parents(kinship_PP)
            crosses = [self._cross(chromosome) for chromosome in self._lineage.lattice.chromosomes]
            arc: Literal["slerp", "linear"] = "linear" if self._config.crossover == "linear" else "slerp"
            child = self._lineage.mix(first, second, crosses, arc, self._config.angle)
            if child not in self._seen or self._config.duplicates == "keep":
                self._seen.add(child)
                return child
        return None

    def _parents(self, kinship_PP: Floats | None) -> tuple[Genome, Genome]:
        members: Sequence[Genome] = self._archive.members
        if not members:  # all that were asked have failed
            members = self._founders
            first, second = draw_pair(len(members), self._rng)
        elif self._num_children < self._config.warm_up:
            first, second = self._archive.warm_up_parents(len(self._founders), self._rng)
        else:
            first, second = self._archive.parents(self._rng, kinship_PP)
        return members[first], members[second]

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
