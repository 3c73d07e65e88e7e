"""Fused: common entrywise merges as one compiled loop over memory, for models so large that merging takes time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from evomerge.merging.chunks import Sources
from evomerge.merging.draws import Draw, chance, level_of
from evomerge.merging.facts import Facts
from evomerge.merging.pipe import affine
from evomerge.merging.site import Site
from evomerge.merging.stages.votes import agreeing, elected_sign
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import CANCELLED, BernoulliGate, Linear, Restore, SignVote, TopGate, Weigh

PIECE = 1 << 20
"""Entries of a piece: its draws take 2 MB for each expert."""

_GATES = ((), (TopGate,), (BernoulliGate,), (TopGate, BernoulliGate))


@dataclass(frozen=True, slots=True)
class Loop:
    """What tells one compiled loop from another; all numbers are its arguments.

    Attributes:
        trims: Whether small entries are dropped.
        draws: Whether entries are dropped by chance.
        restore: How that is made up for.
        tally: Of the sign vote; None without one.
        is_mean: Whether the sum is divided by the weights that speak.
    """

    trims: bool = False
    draws: bool = False
    restore: Literal["none", "inverse", "l1"] = "none"
    tally: str | None = None
    is_mean: bool = False

    @classmethod
    def of(cls, parts: Parts, site: Site) -> Loop | None:
        """The loop for the parts of a canonical pipe at a `prepared` site; None where no loop is made for them."""
        gates = tuple(type(gate) for gate in parts.gates)
        vote, restore = parts.vote, parts.restore.restore if isinstance(parts.restore, Restore) else "none"
        if not isinstance(parts.reduce, Linear) or not isinstance(vote, SignVote | None):
            return None
        is_mean = parts.reduce.reduce == "mean"
        is_known = gates in _GATES and parts.lens is None and isinstance(parts.restore, Restore | None)
        is_exact = restore != "inverse" or gates == (BernoulliGate,)
        if not (is_known and is_exact and _keeps_all_ties(site) and _has_plain_vote(vote) and _scales_once(parts)):
            return None
        if not isinstance(parts.weigh, Weigh) or (is_mean and (vote is None or min(parts.weigh.weigh) < 0)):
            return None
        return cls(TopGate in gates, BernoulliGate in gates, restore, vote.tally if vote else None, is_mean)


def _keeps_all_ties(site: Site) -> bool:
    return all(end is None for end in site.ends_of_ties or ())


def _has_plain_vote(vote: SignVote | None) -> bool:
    return vote is None or (vote.tally != "count" and vote.zero == "plus")


def _scales_once(parts: Parts) -> bool:
    """Whether one factor stands for all posts; in place of two it rounds otherwise, unless it is in the weights."""
    return parts.scale is not None and (len(parts.posts) <= 1 or parts.is_affine)


def merge_fused(loop: Loop, parts: Parts, sources: Sources, site: Site, facts: Facts, place: torch.Tensor) -> None:
    """Overwrite a flat tensor with a merge, bit by bit what `run_pipe` gives.

    Args:
        loop: That of the parts.
        parts: Canonical, with what depends on whole tensors known to the site.
        sources: The tensor's.
        site: The tensor's.
        facts: What is remembered of the models: draws, while there is room.
        place: Flat, in the result's dtype, on the CPU.
    """
    origin, experts = (None if parts.from_zero else sources.origin), list(sources.experts)
    if parts.is_affine:
        experts, weights = affine(parts, experts, origin)
        origin, scale = None, 1.0
    else:
        weights, scale = list(getattr(parts.weigh, "weigh", ())), parts.scale or 0.0
    drops = next((gate for gate in parts.gates if isinstance(gate, BernoulliGate)), None)
    densities = [drops.density_of(index) for index in range(len(experts))] if drops else []
    numbers = (
        torch.tensor(site.thresholds or [0.0] * len(experts)),
        torch.tensor(site.factors or [chance(density) for density in densities] or [1.0]),
        torch.tensor(weights),
        torch.tensor(scale),
        torch.tensor(CANCELLED * math.fsum(weights) or 1.0),
    )
    run = _compiled(loop)
    for start in range(0, place.numel(), PIECE):
        stop = min(start + PIECE, place.numel())
        if site.kept:
            drawn = [torch.from_numpy(kept[start:stop].view(np.uint8)) for kept in site.kept]
        else:
            drawn = [_drawn(site.draws[index], density, start, stop, facts) for index, density in enumerate(densities)]
        piece = None if origin is None else origin[start:stop]
        run(place[start:stop], [expert[start:stop] for expert in experts], piece, drawn, *numbers)


def _drawn(draw: Draw, density: float, start: int, stop: int, facts: Facts) -> torch.Tensor:
    """Ones at entries of a piece that the draws keep, zeros elsewhere, as bytes."""
    numbers = facts.keep((draw.address, start, stop), lambda: draw.numbers(start, stop))
    return torch.from_numpy((numbers < level_of(density)).view(np.uint8))


@functools.cache
def _compiled(loop: Loop) -> Callable[..., None]:
    torch._dynamo.config.recompile_limit = 64  # one for each number of experts, dtype and use of an origin
    return torch.compile(functools.partial(_merge, loop), dynamic=True, fullgraph=True)


def _merge(
    loop: Loop,
    place: torch.Tensor,
    experts: Sequence[torch.Tensor],
    origin: torch.Tensor | None,
    drawn: Sequence[torch.Tensor],
    thresholds_K: torch.Tensor,
    factors_K: torch.Tensor,
    weights_K: torch.Tensor,
    scale: torch.Tensor,
    silent: torch.Tensor,
) -> None:
    """The stages on one piece, with the operations of `run_pipe` in their order."""
    each = range(len(experts))
    base = None if origin is None else origin.float()
    deltas = [expert.float() if base is None else expert.float() - base for expert in experts]
    if loop.trims:
        deltas = [torch.where(deltas[k].abs() >= thresholds_K[k], deltas[k], 0.0) for k in each]
    if loop.draws:
        deltas = [deltas[k] * drawn[k].float() for k in each]
    if loop.restore != "none":
        deltas = [deltas[k] / factors_K[k] if loop.restore == "inverse" else deltas[k] * factors_K[k] for k in each]
    masks: list[torch.Tensor] = []
    if loop.tally is not None:
        heard = [deltas[k] * weights_K[k] for k in each] if loop.tally == "weighted" else deltas
        masks = agreeing(heard, elected_sign(heard))
        deltas = [deltas[k] * masks[k] for k in each]
    total = deltas[0] * weights_K[0]
    for k in each[1:]:
        total = total + deltas[k] * weights_K[k]
    if loop.is_mean:
        share = masks[0] * weights_K[0]
        for k in each[1:]:
            share = share + masks[k] * weights_K[k]
        total = total / share.clamp_min(silent)
    total = total * scale
    place.copy_(total if base is None else base + total)
