"""The pipe: stages applied in order to one tensor of every expert."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.merging.stages import gates, reduce, restore, vote
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import Sphere, TopGate


def run_pipe(
    parts: Parts, experts: Sequence[torch.Tensor], origin: torch.Tensor | None, draws: Sequence[Draw]
) -> torch.Tensor:
    """Merge one tensor.

    Computes W = O + scale · reduce(weights · vote(restore(gates(W_k − O)))), in float32.

    Args:
        parts: Of a pipe, canonical or not.
        experts: The tensor of every expert, equal shapes, any float dtype.
        origin: The tensor of the origin; None for zero.
        draws: One address of random numbers per expert.

    Returns:
        The merged tensor, float32.
    """
    if parts.from_zero:
        origin = None
    if parts.is_affine:
        return _affine(parts, experts, origin)
    base = None if origin is None else origin.float()
    deltas = [expert.float() if base is None else expert.float() - base for expert in experts]
    merged = _combine(parts, [_gate(parts, delta, index, draws[index]) for index, delta in enumerate(deltas)])
    if parts.scale != 1.0:
        merged = merged * parts.scale
    return merged if base is None else base + merged


def _affine(parts: Parts, experts: Sequence[torch.Tensor], origin: torch.Tensor | None) -> torch.Tensor:
    """O + Σ w_k (W_k − O) as (1 − Σ w_k) O + Σ w_k W_k: one pass over each source, no task vectors."""
    weights = [weight * parts.scale for weight in parts.weights]
    if origin is None:
        return reduce.weighted_sum(experts, weights)
    return reduce.weighted_sum([*experts, origin], [*weights, 1.0 - math.fsum(weights)])


def _gate(parts: Parts, delta: torch.Tensor, index: int, draw: Draw) -> torch.Tensor:
    """One expert's task vector after its gates and what is restored."""
    gated = delta
    kept: dict[type, float] = {}
    for gate in parts.gates:
        density = gate.density[index] if isinstance(gate.density, tuple) else gate.density
        kept[type(gate)] = min(kept.get(type(gate), 1.0), density)
        is_top = isinstance(gate, TopGate)
        gated = gates.top(gated, density) if is_top else gates.bernoulli(gated, density, draw)
    match parts.restore:
        case "inverse":
            return restore.inverse(gated, math.prod(kept.values()))
        case "l1":
            return restore.l1(gated, delta)
        case _:
            return gated


def _combine(parts: Parts, deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """The merged task vector, from those of the experts."""
    masks: Sequence[torch.Tensor] = ()
    if parts.vote is not None:
        heard = deltas
        if parts.vote.tally == "weighted":
            heard = [delta * weight for delta, weight in zip(deltas, parts.weights, strict=True)]
        masks = vote.agreeing(heard, vote.elected_sign(heard))
        deltas = [delta * mask for delta, mask in zip(deltas, masks, strict=True)]
    if isinstance(parts.reduce, Sphere):
        first, second = (delta * weight for delta, weight in zip(deltas, parts.weights, strict=True))
        return reduce.sphere(first, second, parts.reduce.t)
    total = reduce.weighted_sum(deltas, parts.weights)
    return total if parts.reduce.reduce == "sum" else reduce.divide_by_share(total, parts.weights, masks)
