"""The pipe: stages applied in order to one tensor of every expert."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

import torch

from evomerge.merging import stages
from evomerge.merging.site import Site
from evomerge.merging.stages.reducers import weighted_sum
from evomerge.merging.stages.signatures import Masks
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import Weigh

_OFF_MATRICES = ("embedding", "head")
"""Roles whose tensors are tables of vectors: their singular vectors mean nothing (rows of unseen tokens are zero)."""


def run_pipe(parts: Parts, experts: Sequence[torch.Tensor], origin: torch.Tensor | None, site: Site) -> torch.Tensor:
    """Merge one tensor, or a piece of it where all stages are entrywise.

    Computes W = O + posts(lens⁻¹(reduce(weights · vote(restore(gates(lens(W_k − O))))))), in float32.

    Args:
        parts: Of a pipe, canonical or not.
        experts: The tensor of every expert, equal shapes, any float dtype.
        origin: The tensor of the origin; None for zero.
        site: Where in the model the tensor stands.

    Returns:
        The merged tensor, float32.
    """
    if parts.from_zero:
        origin = None
    if parts.is_affine:
        return weighted_sum(*affine(parts, experts, origin))
    return run_on_task_vectors(parts, task_vectors(experts, origin), origin, site)


def run_on_task_vectors(
    parts: Parts, deltas: Sequence[torch.Tensor], origin: torch.Tensor | None, site: Site
) -> torch.Tensor:
    """Merge one tensor of experts that are measured already.

    Args:
        parts: Of a pipe that does not measure from zero.
        deltas: The task vector of every expert, float32.
        origin: What they are measured from; None for zero.
        site: Where in the model the tensor stands.

    Returns:
        The merged tensor, float32.
    """
    merge = _on_matrices if parts.needs_matrices else merge_deltas
    merged = merge(parts, deltas, dataclasses.replace(site, origin=origin))
    return merged if origin is None else origin.float() + merged


def task_vectors(experts: Sequence[torch.Tensor], origin: torch.Tensor | None) -> list[torch.Tensor]:
    """W_k − O, in float32."""
    if origin is None:
        return [expert.float() for expert in experts]
    base = origin.float()
    return [expert.float() - base for expert in experts]


def affine(
    parts: Parts, experts: Sequence[torch.Tensor], origin: torch.Tensor | None
) -> tuple[list[torch.Tensor], list[float]]:
    """O + Σ w_k (W_k − O) as the terms of (1 − Σ w_k) O + Σ w_k W_k: one pass over each source, no task vectors."""
    weights = [weight * (parts.scale or 0.0) for weight in parts.weigh.weigh] if isinstance(parts.weigh, Weigh) else []
    if origin is None:
        return list(experts), weights
    return [*experts, origin], [*weights, 1.0 - math.fsum(weights)]


def merge_deltas(parts: Parts, deltas: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """The merged task vector, from those of the experts, all float32."""
    inside, back = deltas, None
    if parts.lens is not None:
        inside, back = stages.LENSES[type(parts.lens)](parts.lens, deltas, site)
    stack = gated(parts, inside, site)
    weights = stages.WEIGHERS[type(parts.weigh)](parts.weigh, stack, site)
    masks: Masks = ()
    if parts.vote is not None:
        if parts.vote.spans_model:
            site = dataclasses.replace(site, voices=functools.partial(_voices, parts, site))
        masks = stages.VOTES[type(parts.vote)](parts.vote, stack.deltas, weights, site)
    merged = stages.REDUCERS[type(parts.reduce)](parts.reduce, stack.deltas, masks, weights, site)
    if back is not None:
        merged = back(merged)
    for post in parts.posts:
        merged = stages.POSTS[type(post)](post, merged, deltas, site)
    return merged


def gated(parts: Parts, deltas: Sequence[torch.Tensor], site: Site) -> Stack:
    """The task vectors after gates and restoration."""
    stack = Stack.of(deltas)
    for gate in parts.gates:
        stack = stages.GATES[type(gate)](gate, stack, site)
    if parts.restore is not None:
        restored = stages.RESTORES[type(parts.restore)](parts.restore, stack, site)
        stack = Stack(restored, stack.raw, stack.kept)
    return stack


def _voices(parts: Parts, site: Site) -> Iterator[Sequence[torch.Tensor]]:
    for at, deltas in site.scope.deltas():
        inside = deltas if parts.lens is None else stages.LENSES[type(parts.lens)](parts.lens, deltas, at)[0]
        yield gated(parts, inside, at).deltas


def _on_matrices(parts: Parts, deltas: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Stages that act on matrices, on a matrix, on each matrix of a stack of them, or left out where there is none."""
    shape = deltas[0].shape
    if len(shape) < 2 or min(shape[-2:]) < 2 or site.position.role in _OFF_MATRICES:
        return merge_deltas(parts.off_matrices, deltas, site)
    if len(shape) == 2:
        return merge_deltas(parts, deltas, site)
    size = shape[-2:].numel()
    flat = [delta.reshape(-1, *shape[-2:]) for delta in deltas]
    origins = [None] * len(flat[0]) if site.origin is None else site.origin.reshape(-1, *shape[-2:])
    sites = (dataclasses.replace(site.piece(index * size), origin=origin) for index, origin in enumerate(origins))
    merged = [merge_deltas(parts, each, at) for each, at in zip(zip(*flat, strict=True), sites, strict=True)]
    return torch.stack(merged).reshape(shape)
