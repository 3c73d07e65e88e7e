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
_SMALL = 1 << 16


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


def largest_over(pieces: Pieces, num_kept: int, total: int) -> float:
    """The `num_kept`-th largest magnitude over all pieces, exactly, in two passes and little memory.

    A sorted sample brackets it; of the second pass only what lies in the bracket is kept and sorted.

    Args:
        pieces: Float32 tensors.
        num_kept: From 1 to `total`.
        total: Number of entries of all pieces.
    """
    if total <= _SMALL:
        return _nth(np.concatenate(list(_magnitudes(pieces))), num_kept)
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
    return _nth(np.concatenate(list(_magnitudes(pieces))), num_kept)


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
    place = magnitude.size - num_kept
    return float(np.partition(magnitude, place)[place])
