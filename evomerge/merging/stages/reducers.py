"""Reducers: from one tensor per expert to one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Masks, Reducer
from evomerge.recipe.stages import CANCELLED, Linear, Sphere, cancel


def linear(
    reduce: Linear, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """Weighted sum or mean of what experts say where they may speak."""
    total = weighted_sum(said(deltas, masks), weights)
    return total if reduce.reduce == "sum" else divide_by_share(total, weights, masks)


def spherical(
    reduce: Sphere, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """Interpolation along the sphere between two weighed experts."""
    first, second = (delta * weight for delta, weight in zip(said(deltas, masks), weights, strict=True))
    return sphere(first, second, reduce.t)


def said(deltas: Sequence[torch.Tensor], masks: Masks) -> Sequence[torch.Tensor]:
    """Task vectors with zeros where their expert may not speak."""
    return [delta * mask for delta, mask in zip(deltas, masks, strict=True)] if masks else deltas


def weighted_sum(deltas: Sequence[torch.Tensor], weights: Sequence[Factor]) -> torch.Tensor:
    """Sum of weighted tensors of any float dtype, in float32."""
    total = deltas[0].to(torch.float32) * weights[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total += delta.to(torch.float32) * weight  # not add_ with alpha, which rounds otherwise than compiled loops do
    return total


def divide_by_share(total: torch.Tensor, weights: Sequence[Factor], masks: Masks) -> torch.Tensor:
    """Turn a weighted sum into the mean over the experts that speak at each entry (TIES, arXiv:2306.01708, step 3).

    Where nobody speaks, or weights of both signs cancel, the sum stays as it is.

    Args:
        total: Weighted sum over the experts of what they say; not modified.
        weights: One per expert.
        masks: Where each expert speaks; none at all when all speak everywhere.
    """
    numbers = [weight for weight in weights if not isinstance(weight, torch.Tensor)]
    if not masks and len(numbers) == len(weights):
        return total if cancel(numbers) else total / math.fsum(numbers)
    share = weighted_sum(masks or [torch.ones_like(total)] * len(weights), weights)
    if len(numbers) == len(weights) and min(numbers) >= 0:
        return total / share.clamp_min_(CANCELLED * math.fsum(numbers) or 1.0)  # where nobody speaks, the sum is zero
    size = weighted_sum([torch.ones_like(total)] * len(weights), [_size(weight) for weight in weights])
    return total / torch.where(share.abs() <= CANCELLED * size, 1.0, share)


def _size(weight: Factor) -> Factor:
    return weight.abs() if isinstance(weight, torch.Tensor) else abs(weight)


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


REDUCERS: dict[Kind, Reducer] = {Linear: linear, Sphere: spherical}
