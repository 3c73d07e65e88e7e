"""The weigher of WIDEN: columns by how far they moved from the origin (arXiv:2408.03092)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evomerge.merging.order import by_rank
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Weigher
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import DivergenceWeigher


def divergence(weigh: DivergenceWeigher, stack: Stack, site: Site) -> Sequence[Factor]:
    """Factors per column of a matrix, per entry of any other tensor (WIDEN, section 3)."""
    if stack.deltas[0].ndim < 2:
        factors = importance(torch.stack([delta.abs().double() for delta in stack.deltas]), weigh)
    else:
        turned = site.position.role == "embedding"
        lengths, directions = (ranked(moves) for moves in _moves(stack.deltas, site.origin, turned))
        factors = (importance(lengths, weigh) + importance(directions, weigh)) / 2
        factors = factors.unsqueeze(-1 if turned else -2)
    weights = weigh.weights or (1.0,) * len(factors)
    return [(factor * weight).to(torch.float32) for factor, weight in zip(factors, weights, strict=True)]


def _moves(
    deltas: Sequence[torch.Tensor], origin: torch.Tensor | None, turned: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far each expert's columns moved in length, and in direction: experts first, columns last, float64."""
    axis = -1 if turned else -2
    base = torch.zeros_like(deltas[0], dtype=torch.float64) if origin is None else origin.double()
    base_lengths = base.norm(dim=axis)
    lengths, directions = [], []
    for delta in deltas:
        expert = base + delta.double()
        length = expert.norm(dim=axis)
        lengths.append((length - base_lengths).abs())
        products = length * base_lengths
        cosine = torch.where(products > 0, (expert * base).sum(dim=axis) / products, 0.0)
        directions.append(1 - cosine)
    return torch.stack(lengths), torch.stack(directions)


def ranked(moves: torch.Tensor) -> torch.Tensor:
    """Ranks along the last axis as parts of its length, from 0."""
    count = moves.shape[-1]
    # float32, in which ranks are found, tells fewer moves apart: ties go by place
    rows = moves.reshape(-1, count).to(torch.float32).cpu().numpy()
    ranks = by_rank(np.maximum(rows, 0), np.arange(count) / count)
    return torch.from_numpy(ranks).view(moves.shape).to(moves.device)


def importance(significance: torch.Tensor, weigh: DivergenceWeigher) -> torch.Tensor:
    """A softmax over experts, the first axis, with what is well above its expert's mean set to the calibration."""
    mean = significance.mean(dim=-1, keepdim=True) if significance.ndim > 1 else significance
    return torch.where(significance > weigh.ratio * mean, weigh.calibration, significance.softmax(dim=0))


WEIGHERS: dict[Kind, Weigher] = {DivergenceWeigher: divergence}
