"""Posts that go by the depth of a layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.errors import EvomergeError
from evomerge.merging.site import Peers, Site
from evomerge.merging.stages.restore import absolute_sum
from evomerge.merging.stages.signatures import Kind, Post
from evomerge.merging.stages.votes import tally
from evomerge.recipe.stages import NormRamp, Ramp


def ramp(post: Ramp, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """More in deep layers (LiNeS, arXiv:2410.17146, equation 3)."""
    return merged * (post.alpha + post.beta * depth(site))


def norm_ramp(post: NormRamp, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """More in deep layers, from a level that makes up for what merging took or gave (LiNeS, section 4.2)."""
    peers = site.peers
    if peers is None:
        raise EvomergeError("post: norm_ramp must know all tensors of its rule.")
    level = site.scope.once(("level", peers.place), lambda: _level(peers, len(raw)))
    return merged * (level + post.beta * depth(site))


def _level(peers: Peers, num_experts: int) -> float:
    """‖Σ τ‖₁ / ‖D‖₁ / n over the model; 1/n where nothing was merged."""
    before, after = 0.0, 0.0
    for merged, raw in peers.tensors():
        before += absolute_sum(tally(raw))
        after += absolute_sum(merged)
    return before / after / num_experts if after > 0 else 1.0 / num_experts


def depth(site: Site) -> float:
    """Where a layer lies between the first (0) and the last (1); 0 for what lies in no layer."""
    return (site.position.layer or 0) / (site.num_layers - 1) if site.num_layers > 1 else 0.0


POSTS: dict[Kind, Post] = {Ramp: ramp, NormRamp: norm_ramp}
