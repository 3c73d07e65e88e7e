"""Gauge: rotations inside a head that leave what it computes unchanged, fitted to a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

Fit = Callable[[torch.Tensor], torch.Tensor]
"""Overlaps `M = Σ A·Bᵀ` of reference A and model B, (…, D, D), to the allowed R of largest ⟨R, M⟩, which is the one
that brings R·B nearest to A. The same R acts on both sides of a head's inner product, which it leaves unchanged."""

Gauge = Literal["rotation", "none"]
"""`rotation`: heads are rotated towards the reference. `none`: heads are only permuted."""

_WORTHWHILE = 0.99
"""A rotation is kept only where standing still reaches less than this share of what it gains. Fine-tuning rotates
heads a little too; that is something learnt, and a merge should see it. A change of gauge is far from this border."""


def fixed(overlaps_DD: torch.Tensor) -> torch.Tensor:
    """No freedom: the identity."""
    size = overlaps_DD.shape[-1]
    return torch.eye(size, dtype=overlaps_DD.dtype).expand(overlaps_DD.shape)


def orthogonal(overlaps_DD: torch.Tensor) -> torch.Tensor:
    """Any rotation or reflection, as values and outputs allow: orthogonal Procrustes, the polar factor of M."""
    left_DD, _, right_DD = torch.linalg.svd(overlaps_DD)
    polar_DD: torch.Tensor = left_DD @ right_DD
    return polar_DD


def rotary(overlaps_DD: torch.Tensor) -> torch.Tensor:
    """One angle for each pair of channels that a rotary embedding turns together, as queries and keys allow.

    Channel f is turned with channel f + D/2. Such rotations commute with the embedding's; others do not, so that a
    generic one would change the scores. For the pair's block [[a, b], [c, d]] of M the angle is atan2(c − b, a + d).
    """
    half = overlaps_DD.shape[-1] // 2
    blocks = overlaps_DD.reshape(*overlaps_DD.shape[:-2], 2, half, 2, half)
    pairs = blocks.diagonal(dim1=-3, dim2=-1)  # (…, 2, 2, half)
    angles = torch.atan2(pairs[..., 1, 0, :] - pairs[..., 0, 1, :], pairs[..., 0, 0, :] + pairs[..., 1, 1, :])
    cos, sin = torch.diag_embed(angles.cos()), torch.diag_embed(angles.sin())
    return torch.cat([torch.cat([cos, -sin], dim=-1), torch.cat([sin, cos], dim=-1)], dim=-2)


def worthwhile(rotation_DD: torch.Tensor, overlaps_DD: torch.Tensor) -> torch.Tensor:
    """The rotation, or the identity where that is nearly as good."""
    is_kept = overlaps_DD.trace() < _WORTHWHILE * gain(rotation_DD, overlaps_DD)
    return rotation_DD if is_kept else fixed(overlaps_DD).clone()


def gain(rotations_DD: torch.Tensor, overlaps_DD: torch.Tensor) -> torch.Tensor:
    """⟨R, M⟩ over the last two dimensions."""
    return (rotations_DD * overlaps_DD).sum(dim=(-2, -1))
