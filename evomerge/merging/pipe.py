"""The pipe: stages applied in order to one tensor of every expert."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import torch

from evomerge.merging import stages
from evomerge.merging.site import Peers, Scope, Site
from evomerge.merging.stages.gates import masked
from evomerge.merging.stages.reducers import weighted_sum
from evomerge.merging.stages.signatures import Factor, Masks
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import Weigh


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
    merged = _merge_whole(parts, deltas, dataclasses.replace(site, origin=origin))
    return merged if origin is None else origin.float() + merged


def task_vectors(experts: Sequence[torch.Tensor], origin: torch.Tensor | None) -> list[torch.Tensor]:
    """W_k − O, in float32."""
    if origin is None:
        return [expert.float() for expert in experts]
    base, singles = origin.float(), [expert.float() for expert in experts]
    # what was converted is a copy, and changed in place
    return [one - base if one is expert else one.sub_(base) for one, expert in zip(singles, experts, strict=True)]


def affine(
    parts: Parts, experts: Sequence[torch.Tensor], origin: torch.Tensor | None
) -> tuple[list[torch.Tensor], list[float]]:
    """O + Σ w_k (W_k − O) as the terms of (1 − Σ w_k) O + Σ w_k W_k: one pass over each source, no task vectors."""
    weights = [weight * (parts.scale or 0.0) for weight in parts.weigh.weigh] if isinstance(parts.weigh, Weigh) else []
    if origin is None:
        return list(experts), weights
    return [*experts, origin], [*weights, 1.0 - math.fsum(weights)]


def _merge_whole(parts: Parts, deltas: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    merged = [merge_deltas(part, each, there, parts) for part, each, there in _cut(parts, deltas, site)]
    return (merged[0] if len(merged) == 1 else torch.stack(merged)).reshape(deltas[0].shape)


def _cut(
    parts: Parts, deltas: Sequence[torch.Tensor], site: Site
) -> Iterator[tuple[Parts, Sequence[torch.Tensor], Site]]:
    """What acts on what: stages on matrices on a matrix or on each one of a stack, else what is left of the pipe."""
    shape = deltas[0].shape
    if not parts.needs_matrices:
        yield parts, deltas, site
    elif not site.has_matrices(shape):
        yield parts.off_matrices, deltas, site
    else:
        size = shape[-2:].numel()
        flat = [delta.reshape(-1, *shape[-2:]) for delta in deltas]
        origins = [None] * len(flat[0]) if site.origin is None else site.origin.reshape(-1, *shape[-2:])
        for index, (origin, *matrices) in enumerate(zip(origins, *flat, strict=True)):
            yield parts, matrices, dataclasses.replace(site, start=index * size, origin=origin, own=matrices)


def merge_deltas(parts: Parts, deltas: Sequence[torch.Tensor], site: Site, rule: Parts) -> torch.Tensor:
    """The merged task vector, from those of the experts, all float32.

    Args:
        parts: What acts on this tensor.
        deltas: One per expert.
        site: Where in the model the tensor stands.
        rule: What acts on all tensors of the rule, of which `parts` may be what is left for this one.
    """
    inside, back = _inside(parts, deltas, site)
    stack = gated(parts, inside, site)
    weights = _weights(parts, stack, site, rule)
    masks: Masks = ()
    if parts.vote is not None:
        there = site
        if parts.vote.spans_model:
            there = dataclasses.replace(site, heard=functools.partial(_heard, rule, site.scope))
        masks = stages.VOTES[type(parts.vote)](parts.vote, stack.deltas, weights, there)
    merged = stages.REDUCERS[type(parts.reduce)](parts.reduce, stack.deltas, masks, weights, site)
    merged = back(merged)
    spanned = iter(_spanned(rule, site.scope))
    for post in parts.posts:
        there = dataclasses.replace(site, peers=next(spanned)) if post.spans_model else site
        merged = stages.POSTS[type(post)](post, merged, deltas, there)
    return merged


def _inside(
    parts: Parts, deltas: Sequence[torch.Tensor], site: Site
) -> tuple[Sequence[torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    if parts.lens is None:
        return deltas, lambda merged: merged
    return stages.LENSES[type(parts.lens)](parts.lens, deltas, site)


def gated(parts: Parts, deltas: Sequence[torch.Tensor], site: Site) -> Stack:
    """The task vectors after gates and restoration."""
    stack = Stack.of(deltas)
    if site.kept:
        pieces = (kept[site.start : site.start + deltas[0].numel()] for kept in site.kept)
        stack = stack.changed([masked(delta, piece) for delta, piece in zip(deltas, pieces, strict=True)])
    else:
        for gate in parts.gates:
            stack = stages.GATES[type(gate)](gate, stack, site)
    if parts.restore is not None:
        restored = stages.RESTORES[type(parts.restore)](parts.restore, stack, site)
        stack = dataclasses.replace(stack, deltas=restored)
    return stack


def _weights(parts: Parts, stack: Stack, site: Site, rule: Parts) -> Sequence[Factor]:
    """How loudly each expert speaks."""
    if parts.weigh.spans_model:
        site = dataclasses.replace(site, voices=functools.partial(_voices, rule, site.scope))
    return stages.WEIGHERS[type(parts.weigh)](parts.weigh, stack, site)


def _stacks(rule: Parts, scope: Scope) -> Iterator[tuple[Parts, Stack, Site]]:
    """All tensors of a rule after gates and restoration."""
    for site, deltas in scope.deltas():
        for parts, each, there in _cut(rule, deltas, site):
            yield parts, gated(parts, _inside(parts, each, there)[0], there), there


def _voices(rule: Parts, scope: Scope) -> Iterator[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]:
    """Task vectors before and after gates and restoration, of all tensors of a rule."""
    return ((stack.raw, stack.deltas) for _, stack, _ in _stacks(rule, scope))


def _heard(rule: Parts, scope: Scope) -> Iterator[tuple[Sequence[torch.Tensor], Sequence[Factor]]]:
    """Task vectors after gates and restoration with their weights, of all tensors of a rule."""
    return ((stack.deltas, _weights(parts, stack, site, rule)) for parts, stack, site in _stacks(rule, scope))


def _spanned(rule: Parts, scope: Scope) -> Iterator[Peers]:
    """For each post that spans the model, in order, the tensors of the rule as they stand just before it."""

    def tensors(before: Parts) -> Iterator[tuple[torch.Tensor, Sequence[torch.Tensor]]]:
        return ((_merge_whole(before, deltas, site), deltas) for site, deltas in scope.deltas())

    for place, post in enumerate(rule.posts):
        if post.spans_model:
            before = dataclasses.replace(rule, posts=rule.posts[:place])
            yield Peers(place, functools.partial(tensors, before))
