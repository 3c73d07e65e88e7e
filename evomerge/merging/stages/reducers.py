"""Reducers: from one tensor per expert to one tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Masks, Reducer
from evomerge.recipe.stages import CANCELLED, Largest, Linear, cancel


def linear(
    reduce: Linear, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """Weighted sum or mean of what experts say where they may speak."""
    total = weighted_sum(said(deltas, masks), weights)
    return total if reduce.reduce == "sum" else divide_by_share(total, weights, masks)


def absmax(
    reduce: Largest, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """The weighed expert of largest magnitude at each entry (MagMax, arXiv:2407.06322, equation 3)."""
    largest, *others = weighed(deltas, masks, weights)
    for delta in others:
        largest = torch.where(delta.abs() >= largest.abs(), delta, largest)
    return largest


def said(deltas: Sequence[torch.Tensor], masks: Masks) -> Sequence[torch.Tensor]:
    """Task vectors with zeros where their expert may not speak."""
    return [delta * mask for delta, mask in zip(deltas, masks, strict=True)] if masks else deltas


def weighed(deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor]) -> list[torch.Tensor]:
    """What each expert says, times how loudly."""
    return [delta * weight for delta, weight in zip(said(deltas, masks), weights, strict=True)]


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
    sizes: list[Factor] = [weight.abs() if isinstance(weight, torch.Tensor) else abs(weight) for weight in weights]
    size = weighted_sum([torch.ones_like(total)] * len(weights), sizes)
    return total / torch.where(share.abs() <= CANCELLED * size, 1.0, share)


REDUCERS: dict[Kind, Reducer] = {Linear: linear, Largest: absmax}
