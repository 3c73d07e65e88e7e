"""Evolution of models as flat parameter vectors, for models that are small enough to be kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from evomerge.optimizers.m2n2.archive import Archive
from evomerge.optimizers.m2n2.crossover import crossover, mutate
from evomerge.optimizers.m2n2.settings import M2N2Settings

Vectors = NDArray[np.floating]


class DenseStrategy(Protocol):
    """Proposes batches of parameter vectors and learns from their scores on all items."""

    def ask(self) -> Vectors:
        """The next candidates, [candidates, parameters]."""

    def tell(self, scores_BI: npt.ArrayLike) -> None:
        """Take in the scores of the candidates that were asked last, [candidates, items], each in [0, 1]."""

    @property
    def best(self) -> Vectors:
        """The parameters with the highest mean score of those that the strategy has kept."""


class Evolution:
    """M2N2 on parameter vectors, steady state; by its settings also a genetic algorithm (arXiv 2508.16204).

    Attributes:
        archive: The members and their scores.
    """

    def __init__(
        self,
        settings: M2N2Settings,
        seeds_KD: Vectors,
        rng: np.random.Generator,
        chromosomes: Sequence[int] = (),
    ) -> None:
        """Start from some models.

        Args:
            settings: Of the archive, the crossover and the mutation.
            seeds_KD: The first members: two random ones or the given models in the authors' code, a full archive of
                random ones in the paper. They are the first batch that is asked.
            rng: Draws parents, split points, weights and noise.
            chromosomes: See `crossover`.
        """
        self.archive: Archive[Vectors] = Archive(settings, partial(np.allclose, rtol=1e-5))
        self._settings = settings
        self._rng = rng
        self._chromosomes = tuple(chromosomes)
        self._seeds = len(seeds_KD)
        self._children = 0
        self._asked_BD = seeds_KD

    def ask(self) -> Vectors:
        """See `DenseStrategy.ask`: first the seeds, then one child at a time."""
        if self.archive.members:
            self._asked_BD = self._child()[None]
        return self._asked_BD

    def tell(self, scores_BI: npt.ArrayLike) -> None:
        """See `DenseStrategy.tell`."""
        for vector_D, scores_I in zip(self._asked_BD, np.asarray(scores_BI), strict=True):
            self.archive.insert(vector_D, scores_I)

    @property
    def best(self) -> Vectors:
        """See `DenseStrategy.best`."""
        return self.archive.members[self.archive.best]

    def _child(self) -> Vectors:
        self._children += 1
        if self._children <= self._settings.warm_up:
            first, second = self.archive.warm_up_parents(self._seeds, self._rng)
        else:
            first, second = self.archive.parents(self._rng)
        members = self.archive.members
        child_D = crossover(members[first], members[second], self._settings, self._rng, self._chromosomes)
        return mutate(child_D, self._settings.mutation, self._rng)
