"""The layout of a checkpoint: its tensors and where they stand, as plain data for readers of recipe languages."""

from __future__ import annotations

import json
from typing import Any

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.roles import position_of
from evomerge.recipe.mergekit import Layout, Spot


def layout_of(checkpoint: Checkpoint) -> Layout:
    """The layout of an opened checkpoint. Reads no tensor."""
    spots = (Spot(name, position_of(name).layer, position_of(name).role) for name in checkpoint.names)
    return Layout(checkpoint.num_layers, tuple(spots), _vocabulary(checkpoint))


def _vocabulary(checkpoint: Checkpoint) -> dict[str, int] | None:
    """Token to id as tokenizer.json has it, added tokens among them; None where there is no such file."""
    try:
        tree: dict[str, Any] = json.loads((checkpoint.folder / "tokenizer.json").read_text(encoding="utf-8"))
        plain = tree["model"]["vocab"]
        added = {token["content"]: int(token["id"]) for token in tree.get("added_tokens", ())}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = dict(plain) if isinstance(plain, dict) else {token: index for index, (token, *_) in enumerate(plain)}
    return known | added
