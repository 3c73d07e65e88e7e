"""What a driver with a model of the losses has been told so far, as arrays that models are fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import Box
from evomerge.optimizers.losses import LARGEST, errors_of, losses_of
from evomerge.spaces.genes import Gene, Genome


class Told:
    """All candidates told, in the order in which they were asked.

    Attributes:
        box: The box whose points the models see.
        genomes: One per candidate.
        seen: The same as a set.
    """

    def __init__(self, genes: Sequence[Gene]) -> None:
        self.box = Box(genes)
        self.genomes: list[Genome] = []
        self.seen: set[Genome] = set()
        self._scored: list[Scored] = []

    def __len__(self) -> int:
        return len(self.genomes)

    def take(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """Add a generation."""
        self.genomes += genomes
        self.seen.update(genomes)
        self._scored += scored

    def points(self, genomes: Sequence[Genome]) -> NDArray[np.float64]:
        """Genomes as points of the box, one per row."""
        return np.array([self.box.encode(genome) for genome in genomes])

    def losses(self) -> NDArray[np.float64]:
        """Losses, one row per candidate."""
        return losses_of(self._scored)

    def errors(self) -> NDArray[np.float64]:
        """Standard errors of the losses, 0 where they were not told."""
        return errors_of(self._scored)

    def excess(self) -> NDArray[np.float64]:
        """Each candidate's largest violation: above 0 where a constraint is broken, 0 where there is none."""
        largest = [max(one.violations, default=0.0) for one in self._scored]
        return np.asarray(np.clip(largest, -LARGEST, LARGEST))
