"""Reply: what a model answered to one item, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Per: TypeAlias = Literal["answer", "character", "byte"]
"""What a log-likelihood is divided by: nothing, or the length of the choice. lm-eval's acc, acc_norm and acc_bytes."""


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered to one item: a text, or how likely it finds each of C choices.

    Attributes:
        written: The whole text that it wrote, up to where it was stopped; empty for choices.
        taken: What the task's filter took from it; empty for choices.
        log_likelihoods_C: Of the choices, in nats; float64, empty for a text.
        characters_C: Lengths of the choices as lm-eval counts them.
        bytes_C: The same in bytes of UTF-8.
        right: Positions of the right choices.
        where: The item's place, for messages.
    """

    written: str = ""
    taken: str = ""
    log_likelihoods_C: Floats = field(default_factory=_none)
    characters_C: Floats = field(default_factory=_none)
    bytes_C: Floats = field(default_factory=_none)
    right: frozenset[int] = frozenset()
    where: str = ""

    def preferences(self, per: Per) -> Floats:
        """How much the model prefers each choice, in nats per `per`; float64, shape (C,)."""
        match per:
            case "answer":
                return self.log_likelihoods_C
            case "character":
                return self.log_likelihoods_C / self.characters_C
            case "byte":
                return self.log_likelihoods_C / self.bytes_C
