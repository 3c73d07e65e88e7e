"""Votes: which experts may speak at an entry."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.stages.base import StageValue


class VoteValue(StageValue):
    """What all votes have in common.

    Attributes:
        is_idle_alone: Whether one expert alone always agrees with itself.
    """

    is_idle_alone: ClassVar[bool] = True


class NoVote(VoteValue):
    """All may speak everywhere. A tally may stand beside it without effect, so that a hole can choose."""

    is_entrywise: ClassVar[bool] = True

    vote: Literal["none"]
    tally: Literal["weighted", "plain"] = "weighted"

    @property
    def is_neutral(self) -> bool:
        """It does nothing."""
        return True


class SignVote(VoteValue):
    """Those whose sign agrees with the elected one may speak.

    The elected sign is that of the weighted or plain sum over experts; a sum of zero elects plus
    (TIES, arXiv:2306.01708, elects with plain sums; mergekit with weighted ones).
    """

    is_entrywise: ClassVar[bool] = True

    vote: Literal["sign"]
    tally: Literal["weighted", "plain"] = "weighted"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "sign vote"


STAGES = (NoVote, SignVote)
