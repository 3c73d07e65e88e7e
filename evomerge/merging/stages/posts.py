"""Posts: how far and where the merged task vector moves the origin."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.norms import inner_products, mean_cosine, mean_row_cosine
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Kind, Post
from evomerge.recipe.stages import Scale, Stock


def scale(post: Scale, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Multiply (λ of task arithmetic, arXiv:2212.04089)."""
    return merged * post.by


def stock(post: Stock, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Move as far as the angle between experts tells (Model Stock, arXiv:2403.19522, equation 4)."""
    if post.scope == "row":
        return merged * _stock_ratio(post, mean_row_cosine(raw), len(raw)).to(merged.device)
    return merged * stock_factor(post, mean_cosine(inner_products(raw)), len(raw))


def stock_factor(post: Stock, cosine: float, num_experts: int) -> float:
    """N c / (1 + (n − 1) c) for the mean cosine c of a whole tensor."""
    return float(_stock_ratio(post, torch.tensor(cosine, dtype=torch.float64), num_experts))


def _stock_ratio(post: Stock, cosine: torch.Tensor, num_experts: int) -> torch.Tensor:
    """N c / (1 + (n − 1) c), float64 in and float32 out."""
    if post.cosine == "clipped":
        cosine = cosine.clamp(min=0)
    divisor = 1 + (num_experts - 1) * cosine
    singular = divisor.abs() < 1e-6
    ratio = num_experts * cosine / torch.where(singular, 1.0, divisor)
    return torch.where(singular, 0.0, ratio).to(torch.float32)


POSTS: dict[Kind, Post] = {Scale: scale, Stock: stock}
