"""Margin: by how much a model prefers the right choice to the best of the wrong ones."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import pydantic

from evomerge.errors import ConfigError
from evomerge.fitness.measures.base import BaseMeasure
from evomerge.fitness.measures.reply import Per, Reply

_PER = {"answer": "", "character": " per character", "byte": " per byte"}


class Margin(BaseMeasure):
    """Log-likelihood of the right choice minus that of the best wrong one: `{name: margin, per: byte}`.

    For tasks of multiple choice. Accuracy only moves when a choice flips; the margin moves with every change of the
    weights. It is above 0 exactly where lm-eval's `acc` (per answer), `acc_norm` (per character) or `acc_bytes`
    (per byte) is 1, ties aside. Where several choices are right, the best of them counts.

    Attributes:
        per: Each log-likelihood is divided by this length of its choice. Bytes need no tokenizer, and choices of
            different lengths are told apart fairly. `answer`: not divided.
        softness: Absent: the score is the margin itself, in nats. It has no bounds, so that a few items may rule the
            mean. A number s: the score is 1 / (1 + exp(-margin / s)), between 0 and 1 as response models need it;
            the smaller s, the nearer it comes to accuracy. (Juang and Katagiri 1992, minimum classification error.)
    """

    output_types: ClassVar[tuple[str, ...]] = ("multiple_choice",)
    name: Literal["margin"] = "margin"
    per: Per = "byte"
    softness: float | None = pydantic.Field(default=None, gt=0)

    @property
    def is_share(self) -> bool:
        """The soft form's do."""
        return self.softness is not None

    @property
    def words(self) -> str:
        """`margin in nats per byte`, `soft margin per byte`."""
        return f"{'margin in nats' if self.softness is None else 'soft margin'}{_PER[self.per]}"

    def of(self, reply: Reply) -> float:
        """The margin, or its soft form."""
        preferences_C = reply.preferences(self.per)
        is_right_C = np.isin(np.arange(len(preferences_C)), list(reply.right))
        if is_right_C.all() or not is_right_C.any():
            what = f"{is_right_C.sum()} of {len(is_right_C)} choices are right. A margin takes a right and a wrong one."
            raise ConfigError.at(reply.where, f"{what} Mend the task's data.")
        margin = float(preferences_C[is_right_C].max() - preferences_C[~is_right_C].max())
        return margin if self.softness is None else _logistic(margin / self.softness)


def _logistic(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2  # never overflows
