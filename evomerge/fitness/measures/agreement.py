"""Agreement: whether a candidate answers an item as one of the models does."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

import numpy as np
import pydantic

from evomerge.fitness.estimators import Scores
from evomerge.fitness.measures.base import BaseMeasure
from evomerge.fitness.measures.reply import Per, Reply

_BITS = 24
"""So many are exact in a float32. Two different texts get one number once in 17 million."""


class Agreement(BaseMeasure):
    """1 where a candidate's answer is that of a model, else 0: `{name: agreement, with: math}`.

    For tasks of multiple choice: both prefer the same choice; and for tasks that write: the task's filter takes the
    same text from both answers, but for space. Whether the answer is right has no say, so the data need no labels.

    The responses that are kept are not these scores but a number that identifies each model's own answer, the same for
    every model; `agreement` makes scores of two models' numbers.

    Attributes:
        model: Name of the model in the search space; `with` in the document.
        per: What the log-likelihoods of choices are divided by before they are compared.
    """

    output_types: ClassVar[tuple[str, ...]] = ("multiple_choice", "generate_until")
    name: Literal["agreement"] = "agreement"
    model: str = pydantic.Field(alias="with", min_length=1)
    per: Per = "byte"

    @property
    def words(self) -> str:
        """`agreement with math`."""
        return f"agreement with {self.model}"

    def of(self, reply: Reply) -> float:
        """The number that identifies the answer: the position of the choice, or 24 bits of the text's digest."""
        if len(reply.log_likelihoods_C):
            return float(reply.preferences(self.per).argmax())
        digest = hashlib.sha256(" ".join(reply.taken.split()).encode()).digest()
        return float(int.from_bytes(digest[: _BITS // 8], "big"))


def agreement(answers_I: Scores, model_I: Scores) -> Scores:
    """1 where two models gave the same answer, else 0.

    Args:
        answers_I: Numbers that identify a candidate's answers; float32, shape (I,).
        model_I: Those of the model that it is to agree with, on the same items in the same order.

    Returns:
        float32, shape (I,).
    """
    agree_I: Scores = (answers_I == model_I).astype(np.float32)
    return agree_I
