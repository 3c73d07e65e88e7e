"""Estimates of a task's score from the responses on some of its items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score, and how well it is known.

    Attributes:
        value: The score, in the metric's own unit.
        stderr: Its standard error; finite.
        num_items: Responses that it rests on.
    """

    value: float
    stderr: float
    num_items: int


def subset_mean(scores_I: Scores) -> Estimate:
    """The mean over the items that were scored, as lm-eval computes a task's score and its standard error.

    The standard error is the sample's standard deviation over √I. One item has none; it is given max(1, |score|) / 2,
    the largest that a score between 0 and 1 can have.

    Args:
        scores_I: One score per item, float32; at least one.
    """
    num_items = len(scores_I)
    scores = scores_I.astype(np.float64).tolist()
    value = sum(scores) / num_items  # in order, as lm-eval does, so that the last digit agrees
    if num_items == 1:
        return Estimate(value, max(1.0, abs(value)) / 2, num_items)
    variance = sum((score - value) ** 2 for score in scores) / (num_items - 1)
    return Estimate(value, math.sqrt(variance) / math.sqrt(num_items), num_items)
