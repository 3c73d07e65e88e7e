"""CoPA: both factors pruned, and the directions that lost most made louder in return."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.checkpoints.factors import Factors
from evomerge.errors import CandidateFailed


def copa(terms: Sequence[Factors], weights: Sequence[float], density: float, quantile: float) -> Factors:
    """Merge changes of one tensor factor by factor (CoPA of RobustMerge, arXiv:2502.17159, section 4).

    Of every factor the entries of largest magnitude are kept. Row j of an adapter's A then has the scale
    sⱼ = ‖aⱼ‖₁ / ‖pruned aⱼ‖₁, and small scales are raised to a quantile of that adapter's scales. The pruned A are
    added; the pruned B are averaged with these scales, column by column, as their weights.

    The factors of different adapters are brought together one kind at a time, as the paper does, so that the product
    has cross terms; for an exact sum use `concatenated`.

    Args:
        terms: Changes of one tensor, all of one rank.
        weights: Of each adapter, on both factors; the authors' code has 2 for each.
        density: Kept fraction of every factor's entries (0.2 in the authors' code).
        quantile: Scales below this quantile are raised to it (0.8 there).

    Returns:
        Float32 factors of the same rank and scale 1.

    Raises:
        CandidateFailed: If the ranks differ.
    """
    if len(ranks := {term.rank for term in terms}) > 1:
        raise CandidateFailed(f"CoPA merges adapters of one rank, but these have the ranks {sorted(ranks)}.")
    parts = [term.balanced() for term in terms]
    total_a_RI, total_b_OR = torch.zeros_like(parts[0].a_RI), torch.zeros_like(parts[0].b_OR)
    total_scale_R = torch.zeros(parts[0].rank)
    for part, weight in zip(parts, weights, strict=True):
        pruned_RI = _pruned(part.a_RI, density)
        scale_R = _raised(_lost(part.a_RI, pruned_RI), quantile)
        total_a_RI += weight * pruned_RI
        total_b_OR += weight * scale_R * _pruned(part.b_OR, density)
        total_scale_R += scale_R
    return parts[0].of(total_b_OR / total_scale_R, total_a_RI)


def _pruned(factor: torch.Tensor, density: float) -> torch.Tensor:
    """Zero but for the entries not below the threshold, which the authors put at the ⌊(1 − density)·n⌋-th smallest."""
    magnitude = factor.abs()
    rank_of_threshold = max(1, int(factor.numel() * (1 - density)))
    threshold = magnitude.flatten().kthvalue(rank_of_threshold).values
    return factor * (magnitude >= threshold)


def _lost(factor_RI: torch.Tensor, pruned_RI: torch.Tensor) -> torch.Tensor:
    """How many times more each row was before it was pruned, in the sum of magnitudes; 1 for a row that is gone."""
    before_R, after_R = factor_RI.abs().sum(dim=1), pruned_RI.abs().sum(dim=1)
    return torch.where(after_R > 0, before_R / after_R, 1.0)


def _raised(scale_R: torch.Tensor, quantile: float) -> torch.Tensor:
    """Scales with those below the quantile raised to it."""
    place = min(int(len(scale_R) * quantile), len(scale_R) - 1)
    return scale_R.clamp(min=float(scale_R.sort().values[place]))
