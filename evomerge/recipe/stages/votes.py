"""Votes: which experts may speak at an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic

from evomerge.documents import shown
from evomerge.recipe.numbers import NotNegative, Thresholds
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
    tally: Literal["weighted", "plain", "count"] = "weighted"

    @property
    def is_neutral(self) -> bool:
        """It does nothing."""
        return True


class SignVote(VoteValue):
    """Those whose sign agrees with the elected one may speak.

    The elected sign is that of the weighted or plain sum over experts, or of the count of their signs
    (TIES, arXiv:2306.01708, elects with plain sums; mergekit with weighted ones). A sum of zero elects plus, or with
    `zero: majority` the sign that most entries of the model elect, as the code of TIES does.
    """

    is_entrywise: ClassVar[bool] = True

    vote: Literal["sign"]
    tally: Literal["weighted", "plain", "count"] = "weighted"
    zero: Literal["plus", "majority"] = "plus"

    @property
    def spans_model(self) -> bool:
        """Whether other tensors matter."""
        return self.zero == "majority"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "sign vote"


class NonzeroVote(VoteValue):
    """Those who move the entry by more than `epsilon` may speak (RAM, arXiv:2601.13572).

    `unit: rms` counts in root mean squares of the expert's task vector at this tensor, so that a threshold means the
    same in all models and tensors; `one` takes the number as it is.
    """

    is_homogeneous: ClassVar[bool] = False
    is_idle_alone: ClassVar[bool] = False

    vote: Literal["nonzero"]
    epsilon: NotNegative = 0.01
    unit: Literal["rms", "one"] = "rms"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "only those who move"


class TallVote(VoteValue):
    """Entries that at least `at_least` experts claim are kept, for all of them (Consensus, arXiv:2405.07813).

    An expert claims an entry where |τ| > threshold · |Δ − τ|, with Δ the sum of all task vectors as they stand.
    `decoder` keeps what that one expert claims, as TALL-mask does to give one task back.
    """

    is_entrywise: ClassVar[bool] = True
    is_idle_alone: ClassVar[bool] = False

    vote: Literal["tall"]
    threshold: Thresholds = 0.4
    at_least: int = pydantic.Field(default=2, ge=1)
    decoder: int | None = pydantic.Field(default=None, ge=0)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "entries that several claim" if self.decoder is None else "entries that one claims"

    def misfit(self, experts: Sequence[str]) -> str | None:
        """It cannot ask for more experts than there are."""
        if self.decoder is not None and self.decoder >= len(experts):
            known = f"the {len(experts)} experts {shown(list(experts))}, counted from 0"
            return f"decoder {self.decoder} is none of {known}. Name another."
        return None


STAGES = (NoVote, SignVote, NonzeroVote, TallVote)
