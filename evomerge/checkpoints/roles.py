"""Roles: what a tensor does and in which layer, read from its name."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from evomerge.recipe.where import Role

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")

_ROLES: tuple[tuple[Role, re.Pattern[str]], ...] = (
    ("head", re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.")),
    ("norm", re.compile(r"(?:^|[._])(?:\w*norm\w*|ln_?\w*)\.")),
    ("router", re.compile(r"\.(?:gate|router|shared_expert_gate)\.")),
    ("attention", re.compile(r"(?:^|[._])(?:self_attn|attn|attention|self_attention)\.")),
    ("mlp", re.compile(r"(?:^|[._])(?:mlp|feed_forward|ffn|experts|fc1|fc2)\.")),
    ("embedding", re.compile(r"(?:^|\.)(?:embed_\w+|wte|wpe|\w*embeddings?\w*)\.")),
)
"""The first pattern found decides; norms come before the blocks that hold them."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a tensor stands in its model.

    Attributes:
        layer: Index of its layer; None for embeddings, final norm and head.
        role: What it does.
    """

    layer: int | None
    role: Role


@functools.cache  # asked for every tensor of every candidate
def position_of(name: str) -> Position:
    """Layer and role of a tensor by its name in the checkpoint."""
    found = _LAYER.search(name)
    role: Role = next((role for role, pattern in _ROLES if pattern.search(name)), "other")
    return Position(int(found.group(1)) if found else None, role)
