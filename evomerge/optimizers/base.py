"""The ask/tell protocol that every optimiser speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evomerge.spaces.genes import Genome

ItemScores = npt.NDArray[np.float32]
"""Scores of single items."""


def _nothing() -> ItemScores:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a candidate turned out to be worth.

    Attributes:
        losses: One finite number per objective; lower is better.
        violations: How far each constraint is broken; 0 or less where it holds.
        errors: Standard error of each loss; empty where they are not known.
        items_I: Its score on every item that a search may ask, higher is better: observed, or expected where it was
            not asked. float32; of the same items in the same order for all candidates, empty for one that failed.
    """

    losses: tuple[float, ...]
    violations: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    items_I: ItemScores = field(default_factory=_nothing, compare=False)


class Optimizer(Protocol):
    """Proposes genomes and learns from losses. Deterministic given its seed and the order of calls."""

    def ask(self) -> Genome | None:
        """The next genome, or None when nothing can be proposed until something is told.

        Asks are counted 0, 1, 2, …; the count is the candidate's number.
        """

    def tell(self, number: int, scored: Scored) -> None:
        """Learn what candidate `number` was worth. Candidates may be told in any order, each once."""

    def favourite(self) -> Genome | None:
        """Where the search believes the optimum is, which it need not have tried; None when it has no such belief."""


class Engine(Protocol):
    """A population-based algorithm, one generation at a time. Seen only by `Generational`."""

    def propose(self) -> Sequence[Genome]:
        """The next generation; empty when the space is exhausted."""

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """Take in a whole generation, in the order it was proposed."""

    def favourite(self) -> Genome | None:
        """See `Optimizer.favourite`."""
