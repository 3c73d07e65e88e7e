"""Order statistics of magnitudes: the k-th largest of a tensor, or of many that do not fit into memory together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

N = TypeVar("N", bound=np.generic)

Pieces = Callable[[], Iterable[torch.Tensor]]
"""Gives the same float32 tensors, piece by piece, as often as it is called."""

_STRIDE = 61  # prime, so that a sample meets all columns of a matrix
MOST_AT_ONCE = 1 << 27
"""Entries beyond which magnitudes are not held in memory together: half a gigabyte."""


def largest(delta: torch.Tensor, num_kept: int) -> float:
    """The `num_kept`-th largest magnitude of a tensor.

    Args:
        delta: Float32.
        num_kept: From 1 to `delta.numel()`.
    """
    # NumPy selects some ten times faster than torch.kthvalue
    return nth(delta.abs().flatten().cpu().numpy(), num_kept)


def threshold_over(pieces: Pieces, density: float) -> float:
    """The magnitude from which on the largest `max(1, int(density · numel))` entries of all pieces lie."""
    total = sum(piece.numel() for piece in pieces())
    return largest_over(pieces, max(1, int(density * total)), total)


def largest_over(pieces: Pieces, num_kept: int, total: int, in_memory: int = MOST_AT_ONCE) -> float:
    """The `num_kept`-th largest magnitude over all pieces, exactly and in bounded memory.

    Where there are many, a sorted sample brackets it; of the second pass only what lies in the bracket is kept.

    Args:
        pieces: Float32 tensors.
        num_kept: From 1 to `total`.
        total: Number of entries of all pieces.
        in_memory: Up to how many entries one pass may collect all magnitudes.
    """
    if total <= in_memory:
        return nth(together(pieces, total), num_kept)
    sample = np.sort(np.concatenate([magnitude[::_STRIDE] for magnitude in _magnitudes(pieces)]))[::-1]
    share = num_kept / total
    margin = math.ceil(6 * math.sqrt(sample.size * share * (1 - share))) + 3
    rank = int(share * sample.size)
    high = float(sample[rank - margin]) if rank >= margin else math.inf
    low = float(sample[rank + margin]) if rank + margin < sample.size else -math.inf
    num_above = sum(int(np.count_nonzero(magnitude >= np.float32(high))) for magnitude in _magnitudes(pieces))
    band = between(pieces, low, high)
    if num_above < num_kept <= num_above + band.size:
        return nth(band, num_kept - num_above)
    # the sample misled, as it may once in a billion times or for entries in a regular pattern
    return nth(together(pieces, total), num_kept)


def together(pieces: Pieces, total: int) -> npt.NDArray[np.float32]:
    """All magnitudes in one array."""
    together, end = np.empty(total, np.float32), 0
    for piece in pieces():
        start, end = end, end + piece.numel()
        torch.abs(piece.flatten(), out=torch.from_numpy(together[start:end]))
    return together


def between(pieces: Pieces, low: float, high: float) -> npt.NDArray[np.float32]:
    """The magnitudes from `low` up to but without `high`, in one array."""
    least, most = np.float32(low), np.float32(high)
    inside = [magnitude[(magnitude >= least) & (magnitude < most)] for magnitude in _magnitudes(pieces)]
    return np.concatenate(inside)


def _magnitudes(pieces: Pieces) -> Iterator[npt.NDArray[np.float32]]:
    for piece in pieces():
        yield piece.abs().flatten().cpu().numpy()


def nth(magnitude: npt.NDArray[np.float32], num_kept: int) -> float:
    """The `num_kept`-th largest; the array is left in another order."""
    place = magnitude.size - num_kept
    magnitude.partition(place)
    return float(magnitude[place])


def by_rank(magnitude_RC: npt.NDArray[np.float32], values_C: npt.NDArray[N]) -> npt.NDArray[N]:
    """For every magnitude the value that stands at its place in the ascending order of its row.

    Of equals, those that come first have the lower places.

    Args:
        magnitude_RC: Not negative, of rows R and columns C.
        values_C: One per place.

    Returns:
        found_RC: Of the values' dtype.
    """
    num_columns = magnitude_RC.shape[1]
    # The bits of floats that are not negative are in the floats' order. With the column beside them whole numbers are
    # sorted, which is several times faster than finding an order by indices.
    places_RC = np.ascontiguousarray(magnitude_RC).view(np.uint32).astype(np.uint64)
    places_RC <<= np.uint64(32)
    places_RC |= np.arange(num_columns, dtype=np.uint64)
    places_RC.sort(axis=1)
    places_RC &= np.uint64(0xFFFFFFFF)
    found_RC = np.empty(magnitude_RC.shape, values_C.dtype)
    # torch writes to places of rows several times faster than NumPy
    each_RC = torch.from_numpy(values_C).expand(magnitude_RC.shape)
    torch.from_numpy(found_RC).scatter_(1, torch.from_numpy(places_RC.view(np.int64)), each_RC)
    return found_RC


def within_ranks(magnitude: npt.NDArray[np.float32], first: int, last: int) -> npt.NDArray[np.bool_]:
    """Where the magnitudes lie whose places in ascending order are from `first` to just before `last`.

    Of equals, those that come first have the lower places.

    Args:
        magnitude: Flat.
        first: From 0 to `last - 1`.
        last: Up to `magnitude.size`.
    """
    order = np.partition(magnitude, (first, last - 1))
    low, high = order[first], order[last - 1]
    inside = (magnitude > low) & (magnitude < high)
    for bound in {float(low), float(high)}:
        tied = np.flatnonzero(magnitude == np.float32(bound))
        places = int(np.count_nonzero(magnitude < np.float32(bound))) + np.arange(tied.size)
        inside[tied[(places >= first) & (places < last)]] = True
    return np.asarray(inside)
