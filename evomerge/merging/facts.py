"""Facts: what is known of task vectors whatever the recipe, remembered from candidate to candidate."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from evomerge.merging.order import Pieces, largest_over

T = TypeVar("T")

_COMPACT = 32
"""A table of magnitudes is kept where it is so many times smaller than the tensor."""


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """The distinct magnitudes of a tensor, so that its k-th largest is known for every k.

    Differences of half-precision numbers take few values: ten thousand for millions of entries.

    Attributes:
        values_V: Ascending, float32.
        counts_V: How many entries are at least as large, int64.
    """

    values_V: npt.NDArray[np.float32]
    counts_V: npt.NDArray[np.int64]

    def largest(self, num_kept: int) -> float:
        """The `num_kept`-th largest magnitude."""
        last = int(np.searchsorted(-self.counts_V, -num_kept, side="right")) - 1
        return float(self.values_V[last])


class Facts:
    """Remembers by key; a key names the models by what they contain, so that facts never go stale."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._asked: set[Hashable] = set()

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute`, called once per key."""
        if key not in self._known:
            self._known[key] = compute()
        return cast("T", self._known[key])

    def largest(self, key: Hashable, pieces: Pieces, num_kept: int, total: int) -> float:
        """The `num_kept`-th largest magnitude of a task vector.

        Args:
            key: Names the task vector.
            pieces: Its pieces.
            num_kept: From 1 to `total`.
            total: Number of its entries.
        """
        if key not in self._asked:  # whoever asks once, to export one recipe, has no use for a table
            self._asked.add(key)
        elif table := self.once(("magnitudes", key), lambda: _table(pieces, total)):
            return table.largest(num_kept)
        return largest_over(pieces, num_kept, total)


def _table(pieces: Pieces, total: int) -> Magnitudes | None:
    """A table of magnitudes where it is small; None where it is not."""
    values, counts = np.empty(0, np.float32), np.empty(0, np.int64)
    for piece in pieces():
        more, how_often = np.unique(piece.abs().flatten().cpu().numpy(), return_counts=True)
        values, places = np.unique(np.concatenate([values, more]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, how_often]), values.size).astype(np.int64)
        if values.size > max(total, piece.numel()) // _COMPACT:
            return None
    return Magnitudes(values, counts[::-1].cumsum()[::-1])
