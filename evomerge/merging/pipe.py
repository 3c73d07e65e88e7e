"""The pipe: stages applied in order to one tensor of every expert."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.merging.stages import gates, reduce, restore, vote
from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    Origin,
    Restore,
    Scale,
    Sphere,
    StageValue,
    TopGate,
    Vote,
    Weigh,
)


def run_pipe(
    pipe: Sequence[StageValue], experts: Sequence[torch.Tensor], origin: torch.Tensor | None, draws: Sequence[Draw]
) -> torch.Tensor:
    """Merge one tensor.

    Computes W = O + post(reduce(vote(restore(gate(W_k − O))))), in float32.

    Args:
        pipe: Canonical stages.
        experts: The tensor of every expert, equal shapes, any float dtype.
        origin: The tensor of the origin; None for zero.
        draws: One address of random numbers per expert.

    Returns:
        The merged tensor, float32.
    """
    if origin is not None and any(stage == Origin(origin="zero") for stage in pipe):
        origin = None
    if all(isinstance(stage, Origin | Weigh | Linear) for stage in pipe):
        return _linear(pipe, experts, origin)
    base = None if origin is None else origin.float()
    deltas = [expert.float() if base is None else expert.float() - base for expert in experts]
    gated = [_gate(pipe, delta, index, draws[index]) for index, delta in enumerate(deltas)]
    merged = _combine(pipe, gated)
    for stage in pipe:
        if isinstance(stage, Scale):
            merged = merged * stage.by
    return merged if base is None else base + merged


def _linear(
    pipe: Sequence[StageValue], experts: Sequence[torch.Tensor], origin: torch.Tensor | None
) -> torch.Tensor:
    """O + Σ w_k (W_k − O) as (1 − Σ w_k) O + Σ w_k W_k: one pass over each source, no task vectors.

    Canonical pipes without gates and votes reduce by sum only.
    """
    weights = list(_weights(pipe, len(experts)))
    if origin is None:
        return reduce.weighted_sum(experts, weights)
    return reduce.weighted_sum([*experts, origin], [*weights, 1.0 - sum(weights)])


def _gate(pipe: Sequence[StageValue], delta: torch.Tensor, index: int, draw: Draw) -> torch.Tensor:
    gated, kept = delta, 1.0
    for stage in pipe:
        match stage:
            case TopGate(density=density):
                gated = gates.top(gated, _of_expert(density, index))
                kept *= _of_expert(density, index)
            case BernoulliGate(density=density):
                gated = gates.bernoulli(gated, _of_expert(density, index), draw)
                kept *= _of_expert(density, index)
            case Restore(restore="inverse"):
                gated = restore.inverse(gated, kept)
            case Restore(restore="l1"):
                gated = restore.l1(gated, delta)
    return gated


def _combine(pipe: Sequence[StageValue], deltas: list[torch.Tensor]) -> torch.Tensor:
    weights = _weights(pipe, len(deltas))
    for stage in pipe:
        if isinstance(stage, Sphere):
            return reduce.sphere(deltas[0] * weights[0], deltas[1] * weights[1], stage.t)
    ballot = next((stage for stage in pipe if isinstance(stage, Vote)), None)
    if ballot is None:
        masks = [torch.ones_like(delta, dtype=torch.bool) for delta in deltas]
    else:
        heard = deltas
        if ballot.tally == "weighted":
            heard = [delta * weight for delta, weight in zip(deltas, weights, strict=True)]
        masks = vote.agreeing(heard, vote.elected_sign(heard))
    if Linear(reduce="mean") in pipe:
        return reduce.masked_mean(deltas, weights, masks)
    return reduce.weighted_sum([delta * mask for delta, mask in zip(deltas, masks, strict=True)], weights)


def _weights(pipe: Sequence[StageValue], num_experts: int) -> tuple[float, ...]:
    return next((stage.weigh for stage in pipe if isinstance(stage, Weigh)), (1.0,) * num_experts)


def _of_expert(density: float | tuple[float, ...], index: int) -> float:
    return density[index] if isinstance(density, tuple) else density
