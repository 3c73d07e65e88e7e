"""Niches: the archive of M2N2 over recipes, whose members compete for items and attract one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.optimizers.base import Scored
from evomerge.optimizers.deb import violation
from evomerge.optimizers.m2n2.archive import Archive
from evomerge.optimizers.m2n2.competition import Floats
from evomerge.optimizers.m2n2.settings import M2N2Settings
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import Lineage


class Niches:
    """Keeps recipes that solve what few others solve (arXiv 2508.16204). See `Pool`."""

    def __init__(self, settings: M2N2Settings, lineage: Lineage) -> None:
        self._archive: Archive[Genome] = Archive(settings)
        self._heeds_kinship, self._lineage = settings.kinship > 0, lineage
        self._worth: dict[Genome, tuple[float, float]] = {}
        self._kinship_PP: Floats | None = None

    @property
    def members(self) -> Sequence[Genome]:
        """The archive by slot."""
        return self._archive.members

    def take(self, genome: Genome, scored: Scored) -> None:
        """Let a candidate compete for its place.

        Scores of items count as if cut to [0, 1]. A candidate that breaks a constraint earns nothing with them: it may
        stay while there is room, and is a parent only where nobody keeps the constraints.
        """
        excess = violation(scored)
        slot = self._archive.insert(genome, np.clip(scored.items_I, 0.0, 0.0 if excess else 1.0))
        if slot is not None:
            self._worth[genome] = excess, sum(scored.losses)
            self._worth = {member: self._worth[member] for member in self.members}
            self._kinship_PP = None

    def parents(self, rng: np.random.Generator) -> tuple[Genome, Genome]:
        """One by its shared fitness, the other by its attraction for the first."""
        if self._heeds_kinship and self._kinship_PP is None:
            self._kinship_PP = self._lineage.kinship(self.members)
        first, second = self._archive.parents(rng, self._kinship_PP)
        return self.members[first], self.members[second]

    @property
    def best(self) -> Genome:
        """See `Pool.best`."""
        return min(self._worth, key=lambda member: self._worth[member])
