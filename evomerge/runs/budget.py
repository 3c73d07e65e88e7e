"""Budget: what a search may spend, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from evomerge.runs.events import Evaluated, Failed

SPENT = "the budget is spent"
"""The reason for which most searches end; with a larger budget they go on."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What scoring candidates has cost.

    Attributes:
        items: Answers.
        tokens: Tokens put through models.
        seconds: Of workers, merging and scoring, failures included; two workers spend two in a second.
    """

    items: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def on(cls, event: Evaluated | Failed) -> Self:
        """What one block of answers cost, or a failure to give it."""
        if isinstance(event, Failed):
            return cls(0, event.tokens, event.seconds)
        return cls(sum(map(len, event.responses.values())), event.tokens, event.merge_s + event.score_s)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.items + other.items, self.tokens + other.tokens, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend; the first limit that is reached ends it. None: no limit.

    Attributes:
        candidates: Recipes to ask for.
        items: Answers.
        tokens: Tokens put through models.
        seconds: Of workers.
    """

    candidates: int
    items: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def allows(self, spent: Spent) -> bool:
        """Whether anything is left beside the number of candidates."""
        limits = ((self.items, spent.items), (self.tokens, spent.tokens), (self.seconds, spent.seconds))
        return all(limit is None or used < limit for limit, used in limits)
