"""What a candidate has answered so far, and the items that it could still be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evomerge.errors import ConfigError, EvomergeError
from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.model import Floats, Items


@dataclass(frozen=True, slots=True)
class Pool:
    """The items of one task whose mean score is wanted, and what is known before a candidate answers any.

    Response models take a score of 1 for right and 0 for wrong. Of a metric where lower is better give 1 - score.

    Attributes:
        num_items: N.
        bank: Their parameters, in the order of the items; None without a bank.
        parents_PN: Scores of the candidate's P parents in [0, 1], or their predicted probabilities; float64, shape
            (P, N). None where they are not known.
        widening: Factor by which candidates may differ more from what their parents lead to expect than merges of
            parameters do, where an estimator's settings do not say.
    """

    num_items: int
    bank: Bank | None = None
    parents_PN: Floats | None = None
    widening: float = 1.0

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together.

        Raises:
            EvomergeError: If they are of different items, or a parent's score lies outside [0, 1].
        """
        if self.bank is not None and len(self.bank.provenance.items) != self.num_items:
            raise EvomergeError(
                f"A bank of {len(self.bank.provenance.items)} items for {self.num_items}. Take its part."
            )
        if self.parents_PN is not None:
            if self.parents_PN.ndim != 2 or not len(self.parents_PN) or self.parents_PN.shape[1] != self.num_items:
                raise EvomergeError(f"Parents' scores of shape {self.parents_PN.shape} for {self.num_items} items.")
            refuse_outside_unit(self.parents_PN, "A parent's score")

    def bank_for(self, user: str) -> Bank:
        """The bank, for an estimator or a selector that cannot do without.

        Raises:
            ConfigError: If there is none.
        """
        if self.bank is None:
            raise ConfigError.at(user, "needs an item bank. Name its file as the task's `bank`, or take another.")
        return self.bank

    def line_for(self, user: str) -> Bank:
        """The bank, if it has abilities of one dimension.

        Raises:
            ConfigError: If there is none, or one of more dimensions.
        """
        bank = self.bank_for(user)
        if (number := bank.provenance.num_dimensions) > 1:
            raise ConfigError.at(user, f"needs a bank of one dimension, and this one has {number}. Fit a 2PL.")
        return bank

    def parents_for(self, user: str) -> Floats:
        """The parents' scores, for an estimator or a selector that cannot do without.

        Raises:
            ConfigError: If they are not known.
        """
        if self.parents_PN is None:
            raise ConfigError.at(user, "needs the parents' own answers, which are not known here. Take another.")
        return self.parents_PN


@dataclass(frozen=True, slots=True)
class Answers:
    """A candidate's scores on the items that it was asked.

    Attributes:
        items_I: Positions in the pool, ascending.
        scores_I: float64, one per item.
    """

    items_I: Items
    scores_I: Floats

    @classmethod
    def none(cls) -> Answers:
        """Nothing asked yet."""
        return cls(np.empty(0, np.intp), np.empty(0, np.float64))

    def __len__(self) -> int:
        return len(self.items_I)

    def also(self, items_I: npt.NDArray[Any], scores_I: npt.NDArray[Any]) -> Answers:
        """These and more answers, in the order of the pool, whatever order they came in.

        Raises:
            EvomergeError: If an item was asked before, or has no score.
        """
        if len(items_I) != len(scores_I):
            raise EvomergeError(f"{len(scores_I)} scores for {len(items_I)} items.")
        together_I = np.concatenate([self.items_I, np.asarray(items_I, np.intp)])
        order_I = np.argsort(together_I, kind="stable")
        if (np.diff(together_I[order_I]) == 0).any():
            raise EvomergeError("An item was asked twice.")
        scores = np.concatenate([self.scores_I, np.asarray(scores_I, np.float64)])
        return Answers(together_I[order_I], scores[order_I])

    def unseen(self, num_items: int) -> Items:
        """Positions of the pool's items that were not asked, ascending."""
        return np.delete(np.arange(num_items), self.items_I)


@dataclass(frozen=True, slots=True)
class Design:
    """How items that were chosen without looking at answers stand for the others.

    Attributes:
        strata_N: The stratum of every item of the pool; the items asked of a stratum stand for all of it.
        variance_gain: How many times smaller the variance of the weighted mean is taken to be than that of as many
            random items: tinyBenchmarks assumes 4 for anchors.
    """

    strata_N: Items
    variance_gain: float = 1.0


Ask = Callable[[Items], npt.NDArray[Any]]
"""Scores of a candidate on items of the pool, in their order."""


def refuse_outside_unit(scores: Floats, what: str) -> None:
    """Refuse scores that no probability can stand for.

    Raises:
        EvomergeError: If a score is not a number in [0, 1].
    """
    if not ((scores >= 0) & (scores <= 1)).all():
        raise EvomergeError(
            f"{what} lies outside [0, 1]. Response models need a metric such as acc; use estimator mean."
        )
