"""Reducers: from one tensor per expert to one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def weighted_sum(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Sum of weighted tensors, in float32."""
    total = deltas[0].to(torch.float32) * weights[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total.add_(delta, alpha=weight)
    return total


def masked_mean(
    deltas: Sequence[torch.Tensor], weights: Sequence[float], masks: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Weighted sum over the experts that speak at an entry, divided by their weights (TIES, step 3).

    Where nobody speaks, or the speaking weights cancel, the result is the sum itself.
    """
    total, share = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
    for delta, weight, mask in zip(deltas, weights, masks, strict=True):
        total.add_(delta * mask, alpha=weight)
        share.add_(mask.to(share.dtype), alpha=weight)
    return total / torch.where(share.abs() < 1e-8, 1.0, share)


def sphere(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical interpolation of whole tensors (SLERP, Shoemake 1985, doi:10.1145/325165.325242).

    Directions that are parallel, opposite or undefined are interpolated linearly.
    """
    weights = sphere_weights(_dot(first, first), _dot(second, second), _dot(first, second), t)
    return weighted_sum((first, second), weights)


def sphere_weights(square_first: float, square_second: float, dot: float, t: float) -> tuple[float, float]:
    """The two factors of SLERP, from squared norms and inner product alone."""
    norms = math.sqrt(square_first * square_second)
    angle = math.acos(min(max(dot / norms, -1.0), 1.0)) if norms > 0 else 0.0
    sine = math.sin(angle)
    if sine < 1e-4:
        return 1.0 - t, t
    return math.sin((1.0 - t) * angle) / sine, math.sin(t * angle) / sine


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    # float64 sums: over 10^8 entries a float32 sum loses the angle between close models
    return float(torch.dot(first.flatten().double(), second.flatten().double()))
