"""Posts: how far and where the merged task vector moves the origin."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Kind, Post
from evomerge.recipe.stages import Scale


def scale(post: Scale, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Multiply (λ of task arithmetic, arXiv:2212.04089)."""
    return merged * post.by


POSTS: dict[Kind, Post] = {Scale: scale}
