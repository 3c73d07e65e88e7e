"""Reducers: from one tensor per expert to one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.recipe.stages import CANCELLED, cancel


def weighted_sum(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Sum of weighted tensors, in float32."""
    total = deltas[0].to(torch.float32) * weights[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total.add_(delta, alpha=weight)
    return total


def divide_by_share(total: torch.Tensor, weights: Sequence[float], masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Turn a weighted sum into the mean over the experts that speak at each entry (TIES, arXiv:2306.01708, step 3).

    Where nobody speaks, or the speaking weights cancel, the sum stays as it is.

    Args:
        total: Weighted sum over the experts of what they say; not modified.
        weights: One per expert.
        masks: Where each expert speaks; none at all when all speak everywhere.
    """
    if not masks:
        return total if cancel(weights) else total / math.fsum(weights)
    share = torch.zeros_like(total)
    for weight, mask in zip(weights, masks, strict=True):
        share.add_(mask, alpha=weight)
    silent = CANCELLED * math.fsum(map(abs, weights))
    return total / torch.where(share.abs() <= silent, 1.0, share)


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
