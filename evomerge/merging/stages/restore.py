"""Restoration: how much of what the gates took is given back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.norms import square_norm
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Kind, Restoration
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import Restore, StdRestore


def restore(stage: Restore, stack: Stack, site: Site) -> Sequence[torch.Tensor]:
    """Scale every gated task vector.

    Returns:
        One tensor per expert.
    """
    if stage.restore == "inverse":
        return [inverse(delta, stack, index) for index, delta in enumerate(stack.deltas)]
    if site.factors is not None:
        return [delta * factor for delta, factor in zip(stack.deltas, site.factors, strict=True)]
    return [gated * l1_factor(gated, delta) for gated, delta in zip(stack.deltas, stack.raw, strict=True)]


def inverse(delta: torch.Tensor, stack: Stack, expert: int) -> torch.Tensor:
    """Divide by the probability of having been kept, which keeps the expectation (DARE, arXiv:2311.03099, eq. 2)."""
    for shares in stack.kept.values():
        share = shares[expert]
        delta = delta / share if isinstance(share, torch.Tensor) or share != 1.0 else delta
    return delta


def l1_factor(gated: torch.Tensor, delta: torch.Tensor) -> float:
    """What scales a gated tensor to the L1 norm it had before, as mergekit's DARE does; 1 where nothing is left."""
    norm = absolute_sum(gated)
    return 1.0 if norm == 0 else absolute_sum(delta) / norm


def absolute_sum(delta: torch.Tensor) -> float:
    """Sum of magnitudes, added up in float64."""
    return float(delta.abs().sum(dtype=torch.float64))


def deviation(stage: StdRestore, stack: Stack, site: Site) -> Sequence[torch.Tensor]:
    """Scale by the spread of the task vectors (ComPEFT, arXiv:2311.13171, algorithm 1)."""

    def of_model() -> list[float]:
        moments = [[_moments(delta) for delta in deltas] for _, deltas in site.scope.deltas()]
        return [_spread([sum(part) for part in zip(*each, strict=True)]) for each in zip(*moments, strict=True)]

    if stage.scope == "model":
        spreads = site.scope.once("spread", of_model)
    else:
        spreads = [_spread(_moments(delta)) for delta in stack.raw]
    return [delta * (stage.factor * spread) for delta, spread in zip(stack.deltas, spreads, strict=True)]


def _moments(delta: torch.Tensor) -> list[float]:
    """Number of entries, their sum and the sum of their squares."""
    return [float(delta.numel()), float(delta.sum(dtype=torch.float64)), square_norm(delta)]


def _spread(moments: Sequence[float]) -> float:
    """The standard deviation, with one degree of freedom for the mean; 0 for a single entry."""
    count, total, squares = moments
    return math.sqrt(max(0.0, squares - total**2 / count) / (count - 1)) if count > 1 else 0.0


RESTORES: dict[Kind, Restoration] = {Restore: restore, StdRestore: deviation}
