"""Order statistics of magnitudes: the k-th largest of a tensor, or of many that do not fit into memory together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

Pieces = Callable[[], Iterable[torch.Tensor]]
"""Gives the same float32 tensors, piece by piece, as often as it is called."""

_STRIDE = 61  # prime, so that a sample meets all columns of a matrix
_LARGE = 1 << 27
"""Entries beyond which magnitudes are not held in memory together: half a gigabyte."""


def largest(delta: torch.Tensor, num_kept: int) -> float:
    """The `num_kept`-th largest magnitude of a tensor.

    Args:
        delta: Float32.
        num_kept: From 1 to `delta.numel()`.
    """
    # NumPy selects some ten times faster than torch.kthvalue
    return _nth(delta.abs().flatten().cpu().numpy(), num_kept)


def threshold_over(pieces: Pieces, density: float) -> float:
    """The magnitude from which on the largest `max(1, int(density · numel))` entries of all pieces lie."""
    total = sum(piece.numel() for piece in pieces())
    return largest_over(pieces, max(1, int(density * total)), total)


def largest_over(pieces: Pieces, num_kept: int, total: int, in_memory: int = _LARGE) -> float:
    """The `num_kept`-th largest magnitude over all pieces, exactly and in bounded memory.

    Where there are many, a sorted sample brackets it; of the second pass only what lies in the bracket is kept.

    Args:
        pieces: Float32 tensors.
        num_kept: From 1 to `total`.
        total: Number of entries of all pieces.
        in_memory: Up to how many entries one pass may collect all magnitudes.
    """
    if total <= in_memory:
        return _nth(_together(pieces, total), num_kept)
    sample = np.sort(np.concatenate([magnitude[::_STRIDE] for magnitude in _magnitudes(pieces)]))[::-1]
    share = num_kept / total
    margin = math.ceil(6 * math.sqrt(sample.size * share * (1 - share))) + 3
    rank = int(share * sample.size)
    high = float(sample[rank - margin]) if rank >= margin else math.inf
    low = float(sample[rank + margin]) if rank + margin < sample.size else -math.inf
    num_above, band = _between(pieces, low, high)
    if num_above < num_kept <= num_above + band.size:
        return _nth(band, num_kept - num_above)
    # the sample misled, as it may once in a billion times or for entries in a regular pattern
    return _nth(_together(pieces, total), num_kept)


def _together(pieces: Pieces, total: int) -> npt.NDArray[np.float32]:
    together, end = np.empty(total, np.float32), 0
    for piece in pieces():
        start, end = end, end + piece.numel()
        torch.abs(piece.flatten(), out=torch.from_numpy(together[start:end]))
    return together


def _between(pieces: Pieces, low: float, high: float) -> tuple[int, npt.NDArray[np.float32]]:
    """How many magnitudes are at least `high`, and those from `low` up to it."""
    num_above, inside = 0, list[npt.NDArray[np.float32]]()
    for magnitude in _magnitudes(pieces):
        above = magnitude >= np.float32(high)
        num_above += int(np.count_nonzero(above))
        inside.append(magnitude[(magnitude >= np.float32(low)) & ~above])
    return num_above, np.concatenate(inside)


def _magnitudes(pieces: Pieces) -> Iterator[npt.NDArray[np.float32]]:
    for piece in pieces():
        yield piece.abs().flatten().cpu().numpy()


def _nth(magnitude: npt.NDArray[np.float32], num_kept: int) -> float:
    """The `num_kept`-th largest; the array is left in another order."""
    place = magnitude.size - num_kept
    magnitude.partition(place)
    return float(magnitude[place])
