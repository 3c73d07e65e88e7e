"""Losses of a generation as an array that algorithms can calculate with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.optimizers.base import Scored

LARGEST = 1e100
"""Where losses are cut off: differences, squares and products of smaller ones stay finite."""


def losses_of(scored: Sequence[Scored]) -> NDArray[np.float64]:
    """Losses of candidates, one row per candidate and one column per objective, within ±`LARGEST`."""
    return np.clip(np.array([one.losses for one in scored], dtype=np.float64), -LARGEST, LARGEST)


def errors_of(scored: Sequence[Scored]) -> NDArray[np.float64]:
    """Standard errors of the losses in the same shape, 0 where they were not told."""
    return np.array([one.errors or (0.0,) * len(one.losses) for one in scored], dtype=np.float64)
