"""What a selector is: it says which items a candidate is asked next."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from evomerge.fitness.answers import Answers, Ask, Design
from evomerge.fitness.irt.model import Floats, Items


class Selector(Protocol):
    """Chooses items of a pool. The same answers always lead to the same next items."""

    @property
    def block(self) -> int:
        """How many items are asked before the answers are looked at again."""

    @property
    def design(self) -> Design | None:
        """How the items stand for the others; None where they are chosen by the answers, so that they do not."""

    def next(self, answers: Answers, number: int) -> Items:
        """Positions of `number` more items, or of all that are left if they are fewer."""


def collect(selector: Selector, ask: Ask, num_items: int) -> Answers:
    """Ask a candidate so many items, block by block."""
    answers = Answers.none()
    while len(answers) < num_items:
        items_I = selector.next(answers, min(selector.block, num_items - len(answers)))
        if not len(items_I):
            break
        answers = answers.also(items_I, ask(items_I))
    return answers


class Ordered:
    """Items in an order that does not depend on answers, so that all candidates share them.

    Attributes:
        order_N: All items of the pool, the first asked first.
        design: How they stand for the others.
        block: All at once.
    """

    def __init__(self, order_N: Items, design: Design) -> None:
        self.order_N, self.design, self.block = order_N, design, len(order_N)

    def next(self, answers: Answers, number: int) -> Items:
        asked_N = np.zeros(len(self.order_N), bool)
        asked_N[answers.items_I] = True
        return self.order_N[~asked_N[self.order_N]][:number]


class Chooser:
    """Takes the best items by some gain, equal ones in a random order that is the same for all candidates.

    Without a bank many items are equally good; the first of the file would otherwise be asked of everyone.

    Attributes:
        priority_N: All items of the pool, those that win ties first.
        top: Each choice is made among so many best, at random ("randomesque" exposure control, Kingsbury and Zara,
            1989).
        seed: Of both.
        open_N: Whether an item may be chosen; None: every one.
    """

    def __init__(self, num_items: int, top: int, seed: int, open_N: npt.NDArray[np.bool_] | None = None) -> None:
        self.top, self.seed, self.open_N = top, seed, open_N
        self.priority_N = np.random.default_rng(seed).permutation(num_items)

    def choose(self, gains_N: Floats, num_asked: int) -> int:
        """One item.

        Args:
            gains_N: Not negative; -inf for items that were asked.
            num_asked: Items asked so far, so that each choice draws anew.
        """
        if self.open_N is not None and np.isfinite(gains_N[self.open_N]).any():
            gains_N = np.where(self.open_N, gains_N, -np.inf)
        # Rounded, so that equal items are not told apart by the last digit of a sum.
        gains_N = np.round(gains_N / max(gains_N.max(), 1e-300), 9)[self.priority_N]
        if self.top == 1:
            return int(self.priority_N[gains_N.argmax()])
        best_I = np.argsort(-gains_N, kind="stable")[: min(self.top, int(np.isfinite(gains_N).sum()))]
        return int(self.priority_N[np.random.default_rng([self.seed, num_asked]).choice(best_I)])
