"""Units: whether the hidden units of an MLP are the base's in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from scipy.spatial import KDTree

Units: TypeAlias = Sequence[torch.Tensor]
"""What enters and leaves the hidden units, each (units, width): rows of gate and up, columns of down."""

_NEIGHBOURS = 8


def undo_unit_order(base: Units, expert: Units) -> list[torch.Tensor]:
    """The expert's units in the base's order, by their norms.

    A common order of the units is a symmetry of an MLP (git re-basin, arXiv 2209.04836). The norms of a unit's weights
    go with it, and fine-tuning hardly moves them; so each unit of the base looks for its like only among the expert's
    units with the nearest norms, which takes no matrix of all pairs. Two units may find the same one: this detects a
    permutation and does not repair it.

    Args:
        base: The base's units.
        expert: The expert's.

    Returns:
        The expert's weights in the base's order, in the shapes given.
    """
    candidates_UK = _nearest(_norms(base), _norms(expert))
    apart_UK = torch.stack(
        [
            sum((_rows(theirs[column_U] - ours) for ours, theirs in zip(base, expert, strict=True)), torch.tensor(0.0))
            for column_U in candidates_UK.T
        ],
        dim=1,
    )
    found_U = candidates_UK.gather(1, apart_UK.argmin(dim=1, keepdim=True))[:, 0]
    return [theirs[found_U] for theirs in expert]


def _norms(units: Units) -> torch.Tensor:
    return torch.stack([_rows(tensor).sqrt() for tensor in units], dim=1)


def _rows(tensor_UW: torch.Tensor) -> torch.Tensor:
    """Squared norm of every row."""
    return tensor_UW.square().sum(dim=1)


def _nearest(base_UF: torch.Tensor, expert_UF: torch.Tensor) -> torch.Tensor:
    """For each unit of the base, its own place and the expert's units with the nearest norms, each norm relative."""
    scale_F = base_UF.mean(dim=0).clamp_min(torch.finfo(base_UF.dtype).tiny)
    count = min(_NEIGHBOURS, len(base_UF))
    _, near = KDTree((expert_UF / scale_F).numpy()).query((base_UF / scale_F).numpy(), count)
    near_UK = torch.as_tensor(near, dtype=torch.int64).reshape(len(base_UF), -1)
    return torch.cat([torch.arange(len(base_UF))[:, None], near_UK], dim=1)
