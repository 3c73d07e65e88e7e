"""Weighers that listen to the experts' task vectors before they say how loudly each may speak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from evomerge.merging.norms import square_norm
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Weigher
from evomerge.merging.stages.stack import Stack
from evomerge.merging.stages.votes import moved
from evomerge.recipe.stages import EnergyWeigher, NormWeigher, OverlapWeigher


def energy(weigh: EnergyWeigher, stack: Stack, site: Site) -> Sequence[Factor]:
    """In proportion to mean squares (SCE, arXiv:2408.07990, section 3.2)."""
    return times(shares([square_norm(delta) for delta in stack.deltas]), weigh.weights)


def norm(weigh: NormWeigher, stack: Stack, site: Site) -> Sequence[Factor]:
    """In proportion to a power of the norms (MetaGPT, arXiv:2406.11385, equation 15)."""

    def of_model() -> list[float]:
        squares = [[square_norm(delta) for delta in deltas] for _, deltas in site.scope.deltas()]
        return [math.fsum(each) for each in zip(*squares, strict=True)]

    if weigh.scope == "model":
        squares = site.scope.once("square norms", of_model)
    else:
        squares = [square_norm(delta) for delta in stack.raw]
    return norm_factors(weigh, squares)


def norm_factors(weigh: NormWeigher, squares: Sequence[float]) -> Sequence[float]:
    """The factors, from squared norms."""
    # relative to the norm with the greatest power, so that no power overflows, nor all of them underflow
    unit = (max if weigh.exponent >= 0 else min)((square for square in squares if square > 0), default=1.0)
    powers = [(square / unit) ** (weigh.exponent / 2) if square > 0 else 0.0 for square in squares]
    return times(shares(powers), weigh.weights)


def shares(sizes: Sequence[float]) -> list[float]:
    """Numbers in proportion to sizes that sum to one; equal ones where all sizes are zero."""
    total = math.fsum(sizes)
    return [size / total if total > 0 else 1.0 / len(sizes) for size in sizes]


def times(factors: Sequence[float], weights: Sequence[float] | None) -> Sequence[float]:
    """Factors times the recipe's weights, where it gives any."""
    return factors if weights is None else [factor * weight for factor, weight in zip(factors, weights, strict=True)]


def overlap(weigh: OverlapWeigher, stack: Stack, site: Site) -> Sequence[Factor]:
    """1/c where c experts move an entry, more than one where one alone does (RAM+, arXiv:2601.13572)."""
    masks = moved(stack.deltas, weigh.epsilon, weigh.unit)
    movers = torch.stack(masks).sum(dim=0)
    counts = _counts(masks)
    if weigh.scope == "model":
        counts = site.scope.once(("overlap", weigh.epsilon, weigh.unit), lambda: _counts_of_model(weigh, site))
    boosts = [1 + weigh.strength * min(shared / max(unique, 1), weigh.limit) for shared, unique in counts]
    weights = weigh.weights or (1.0,) * len(masks)
    return [
        mask * weight * torch.where(movers == 1, boost, 1.0 / movers.clamp(min=1))
        for mask, weight, boost in zip(masks, weights, boosts, strict=True)
    ]


def _counts(masks: Sequence[torch.Tensor]) -> list[tuple[int, int]]:
    """Per expert, how many entries it moves with others and how many alone."""
    movers = torch.stack(list(masks)).sum(dim=0)
    return [(int((mask & (movers > 1)).sum()), int((mask & (movers == 1)).sum())) for mask in masks]


def _counts_of_model(weigh: OverlapWeigher, site: Site) -> list[tuple[int, int]]:
    def counts() -> Iterator[list[tuple[int, int]]]:
        for _, deltas in site.voices():
            yield _counts(moved(deltas, weigh.epsilon, weigh.unit))

    return [(sum(one for one, _ in each), sum(other for _, other in each)) for each in zip(*counts(), strict=True)]


WEIGHERS: dict[Kind, Weigher] = {EnergyWeigher: energy, NormWeigher: norm, OverlapWeigher: overlap}
