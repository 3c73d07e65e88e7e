"""What all stages have in common, and the order of the slots that they stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias

from evomerge.documents import Value
from evomerge.recipe.calibration import StatisticKind

SLOTS = ("origin", "lens", "gate", "restore", "vote", "weigh", "reduce", "post")
"""The order in which stages act. `gate` and `post` may repeat; the others stand once at most."""

REPEATABLE = ("gate", "post")

Elsewhere: TypeAlias = Literal["mean", "sum", "origin"]

CANCELLED = 1e-6
"""Weights whose sum is a smaller share than this of their sizes cancel: no mean can be taken over them."""


class StageValue(Value):
    """One step of a merge operator: its first field names the slot and the kind, the others are parameters.

    Parameters that are tuples hold one entry per expert.

    Attributes:
        on_matrices: Whether it acts on matrices only. Other tensors, embeddings and heads pass such a gate, lens or
            post by, and such a reducer is a mean for them, or what `elsewhere` says.
        elsewhere: What a reducer on matrices is for other tensors; `origin` leaves them as they were.
        on_factors: Whether it acts on the factors of LoRA adapters, so that the experts can be nothing else.
        is_entrywise: Whether a result depends on the entries at the same place alone, so that a tensor may be cut.
        is_entrywise_over_model: Whether it is entrywise where it spans the model, once the model is known.
        is_rowwise: Whether a result depends on the entries of the same row alone, along the last axis, so that a tensor
            may be cut between rows.
        is_stochastic: Whether it draws random numbers.
        is_homogeneous: Whether scaled task vectors give results scaled alike, so that a factor may change places.
        takes_factor: Of a reducer: whether a common factor of all weights is one of the result, whatever its sign.
        is_sum_alone: Of a reducer: whether it only weighs where there is one expert.
        ignores_factor: Of a reducer: whether a common positive factor of all weights makes no difference, where those
            are one per expert.
    """

    on_matrices: ClassVar[bool] = False
    elsewhere: ClassVar[Elsewhere] = "mean"
    on_factors: ClassVar[bool] = False
    is_entrywise: ClassVar[bool] = False
    is_entrywise_over_model: ClassVar[bool] = False
    is_rowwise: ClassVar[bool] = False
    is_stochastic: ClassVar[bool] = False
    is_homogeneous: ClassVar[bool] = True
    takes_factor: ClassVar[bool] = False
    is_sum_alone: ClassVar[bool] = False
    ignores_factor: ClassVar[bool] = False

    @property
    def slot(self) -> str:
        """The slot it stands in."""
        return next(iter(type(self).model_fields))

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing, wherever it stands."""
        return False

    @property
    def spans_model(self) -> bool:
        """Whether what it does to one tensor depends on the other tensors of its rule: where its scope is the model."""
        return getattr(self, "scope", "tensor") == "model"

    @property
    def expert_measures(self) -> tuple[StatisticKind, ...]:
        """Statistics that it reads of every expert."""
        return ()

    @property
    def origin_measures(self) -> tuple[StatisticKind, ...]:
        """Statistics that it reads of the origin."""
        return ()

    @property
    def phrase(self) -> str:
        """What it does, in a word or two for tables; empty where nothing need be said."""
        return str(getattr(self, self.slot))

    def misfit(self, experts: Sequence[str]) -> str | None:
        """Why it cannot act on these experts; None where it can."""
        return None


def cancel(weights: Sequence[float]) -> bool:
    """Whether no mean can be taken with these weights."""
    return abs(math.fsum(weights)) <= CANCELLED * math.fsum(map(abs, weights))
