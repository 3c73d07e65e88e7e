"""Ranges that settings of optimisers lie in, each with the sentence that says what the number means."""

from __future__ import annotations

from typing import Annotated

import pydantic

from evomerge.documents import fault


def between(low: float, high: float, meaning: str) -> pydantic.AfterValidator:
    """Refuse a number outside [low, high] and say what the number means."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise fault(f"{value:g} is outside [{low:g}, {high:g}]. {meaning}")
        return value

    return pydantic.AfterValidator(check)


Population = Annotated[int, between(4, 10_000, "It is the number of candidates per generation.")]
Batch = Annotated[int, between(1, 10_000, "It is the number of candidates per generation.")]
WarmUp = Annotated[int, between(0, 100_000, "It is a number of children.")]
Startup = Annotated[int, between(1, 10_000, "It is the number of random candidates before the first model.")]
Sigma = Annotated[
    float,
    between(0.001, 1, "It is the first standard deviation as a fraction of each gene's range; 0.1 to 0.3 is usual."),
]

Confidence = Annotated[
    float, between(0.5, 1, "It is the probability from which on one candidate counts as better than another.")
]
