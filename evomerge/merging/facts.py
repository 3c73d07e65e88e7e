"""Facts: what is known of task vectors whatever the recipe, remembered from candidate to candidate."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from evomerge.merging.order import MOST_AT_ONCE, Pieces, between, largest_over, nth, together

T = TypeVar("T")

_MOST_VALUES = 1 << 17
"""Distinct magnitudes that a table holds at most: differences of half-precision numbers take few values."""

_EVEN_RANKS = 1 << 13
"""Magnitudes that a table holds where there are more."""


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """A table of some magnitudes of a tensor and of how many entries are at least as large.

    Attributes:
        values_V: Ascending and distinct, the smallest magnitude among them, float32.
        counts_V: How many entries are at least as large, int64.
        is_complete: Whether no other magnitudes occur.
    """

    values_V: npt.NDArray[np.float32]
    counts_V: npt.NDArray[np.int64]
    is_complete: bool

    @classmethod
    def of(cls, pieces: Pieces, total: int) -> Magnitudes:
        """The table of a tensor: complete where that is small, else with values at even ranks."""
        magnitude_N = together(pieces, total)
        magnitude_N.sort()
        first_V = np.flatnonzero(np.diff(magnitude_N, prepend=np.float32(-1)))
        is_complete = first_V.size <= _MOST_VALUES
        if not is_complete:
            values = np.unique(magnitude_N[np.linspace(0, total - 1, _EVEN_RANKS, dtype=np.int64)])
            first_V = np.searchsorted(magnitude_N, values)
        return cls(magnitude_N[first_V], total - first_V, is_complete)

    def largest(self, pieces: Pieces, num_kept: int) -> float:
        """The `num_kept`-th largest magnitude, exactly."""
        last = int(np.searchsorted(-self.counts_V, -num_kept, side="right")) - 1
        if self.is_complete:
            return float(self.values_V[last])
        is_top = last + 1 == self.values_V.size
        num_above = 0 if is_top else int(self.counts_V[last + 1])
        band = between(pieces, self.values_V[last], np.inf if is_top else self.values_V[last + 1])
        return nth(band, num_kept - num_above)


ROOM_BYTES = 2 << 30
"""Of arrays that are remembered because computing them again would take time."""


class Sized(Protocol):
    """Something that takes memory worth counting."""

    @property
    def num_bytes(self) -> int:
        """Size in memory."""


S = TypeVar("S", bound=Sized)


class Facts:
    """Remembers by key; a key names the models by what they contain, so that facts never go stale."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._known: dict[Hashable, Any] = {}
        self._room_bytes = room_bytes
        self._asked: set[Hashable] = set()

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute`, called once per key."""
        if key not in self._known:
            self._known[key] = compute()
        return cast("T", self._known[key])

    def keep(self, key: Hashable, compute: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The array of `compute`, remembered while there is room.

        Nothing is forgotten to make room: candidates use all arrays in turn, and of a cycle that is longer than the
        room the oldest would always be gone just before it is needed.
        """
        if key in self._known:
            return cast("npt.NDArray[Any]", self._known[key])
        array = compute()
        if array.nbytes <= self._room_bytes:
            self._room_bytes -= array.nbytes
            self._known[key] = array
        return array

    def again(self, key: Hashable, compute: Callable[[], S]) -> S:
        """The value of `compute`, remembered from the second time on, while there is room."""
        if key in self._known:
            return cast("S", self._known[key])
        value = compute()
        if key not in self._asked:  # whoever asks once, to export one recipe, should not pay with memory
            self._asked.add(key)
        elif value.num_bytes <= self._room_bytes:
            self._room_bytes -= value.num_bytes
            self._known[key] = value
        return value

    def largest(self, key: Hashable, pieces: Pieces, num_kept: int, total: int) -> float:
        """The `num_kept`-th largest magnitude of a task vector.

        Args:
            key: Names the task vector.
            pieces: Its pieces.
            num_kept: From 1 to `total`.
            total: Number of its entries.
        """
        if key not in self._asked or total > MOST_AT_ONCE:
            self._asked.add(key)  # whoever asks once, to export one recipe, has no use for a table
            return largest_over(pieces, num_kept, total)
        table = self.once(("magnitudes", key), lambda: Magnitudes.of(pieces, total))
        if not table.is_complete and (("ranked", key) in self._known or 4 * total <= self._room_bytes):
            ranked_N = self.keep(("ranked", key), lambda: np.sort(together(pieces, total)))
            return float(ranked_N[total - num_kept])
        return table.largest(pieces, num_kept)
