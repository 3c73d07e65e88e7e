"""What a selector is: it says which items a candidate is asked next."""

from __future__ import annotations

from typing import Protocol

import numpy as np

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


def among_best(gains_N: Floats, top: int, seed: int, num_asked: int) -> int:
    """The item of largest gain; with top > 1 one of so many, at random, so that no item is asked of everyone.

    Args:
        gains_N: -inf for items that cannot be chosen.
        top: How many to choose among ("randomesque" exposure control, Kingsbury and Zara, 1989).
        seed: Of the candidate.
        num_asked: Items chosen before, so that each choice draws anew.
    """
    if top == 1:
        return int(gains_N.argmax())
    best_I = np.argsort(-gains_N, kind="stable")[:top]
    best_I = best_I[np.isfinite(gains_N[best_I])]
    return int(np.random.default_rng([seed, num_asked]).choice(best_I))
