"""An archive of a fixed size in which the worst of members and child leaves (steady state)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from evomerge.optimizers.m2n2.attraction import draw_pair, draw_parents
from evomerge.optimizers.m2n2.competition import Floats, fitness, fitness_beside
from evomerge.optimizers.m2n2.settings import M2N2Settings

M = TypeVar("M")


class Archive(Generic[M]):
    """Members of any kind, in slots, with their scores on all items.

    Its fitness is relative: it depends on who else is in, so it is worked out anew whenever it is asked for.
    """

    def __init__(self, settings: M2N2Settings, same: Callable[[M, M], bool] = operator.eq) -> None:
        """An empty archive.

        Args:
            settings: Its size and the rules of competition, attraction and replacement.
            same: Whether two members are one; asked only where `settings.duplicates` is `refuse`.
        """
        self._settings = settings
        self._same = same
        self._members: list[M] = []
        self._scores_PI: Floats = np.empty((0, 0))

    @property
    def members(self) -> Sequence[M]:
        """The members by slot."""
        return self._members

    @property
    def scores(self) -> Floats:
        """Their scores, one row per slot; not to be written to."""
        return self._scores_PI[: len(self._members)]

    @property
    def shared_fitness(self) -> Floats:
        """Their shared fitness (arXiv 2508.16204 eqs. 3 and 5)."""
        return fitness(self.scores, self._settings)

    @property
    def best(self) -> int:
        """Slot of the member with the highest mean score, the first of equals. Competition has no say in it."""
        return int(np.argmax(self.scores.mean(axis=1)))

    def insert(self, child: M, scores_I: npt.ArrayLike) -> int | None:
        """Offer a child: it fills a free slot, or takes the slot of the worst, or is turned away.

        Args:
            child: The new member.
            scores_I: Its score on every item, in [0, 1], of the same items in the same order for all members.

        Returns:
            The slot it took, or None if it was turned away: it is the worst itself, or a duplicate.

        Raises:
            ValueError: If a score is not a finite number, or if there are not as many as the members have.
        """
        child_I = self._checked(scores_I)
        if self._settings.duplicates == "refuse" and any(self._same(child, member) for member in self._members):
            return None
        slot = self._slot_for(child_I)
        if slot is None:
            return None
        if slot == len(self._members):
            self._members.append(child)
        else:
            self._members[slot] = child
        self._scores_PI[slot] = child_I
        return slot

    def parents(self, rng: np.random.Generator, kinship_PP: Floats | None = None) -> tuple[int, int]:
        """Slots of the two parents of the next child; see `draw_parents`."""
        return draw_parents(self.scores, self._settings, rng, kinship_PP)

    def warm_up_parents(self, seeds: int, rng: np.random.Generator) -> tuple[int, int]:
        """Two different slots among the first `seeds`, which hold the seeds until better children take them."""
        return draw_pair(min(seeds, len(self._members)), rng)

    def _slot_for(self, child_I: Floats) -> int | None:
        """The next free slot, or the worst member's, or None when the child is the worst."""
        if len(self._members) < self._settings.members:
            return len(self._members)
        fitness_P, of_child = fitness_beside(self.scores, child_I, self._settings)
        worst = int(np.argmin(fitness_P))
        stays = of_child < fitness_P[worst] or (of_child == fitness_P[worst] and self._settings.leaves == "child")
        return None if stays else worst

    def _checked(self, scores_I: npt.ArrayLike) -> Floats:
        child_I = np.asarray(scores_I, dtype=np.float64)
        if not self._members:
            self._scores_PI = np.empty((self._settings.members, child_I.size))
        if child_I.shape != self._scores_PI.shape[1:]:
            raise ValueError(f"{child_I.shape} scores, but the members have {self._scores_PI.shape[1]} each.")
        if not np.isfinite(child_I).all():
            raise ValueError("A score is not a finite number. Do not insert a candidate that failed.")
        return child_I
