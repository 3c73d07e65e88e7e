"""The layout of a checkpoint: its tensors and where they stand, as plain data for readers of recipe languages."""

from __future__ import annotations

import json

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.recipe.mergekit import Layout, Spot


def layout_of(checkpoint: Checkpoint) -> Layout:
    """The layout of an opened checkpoint. Reads no tensor."""
    positions = ((name, checkpoint.position(name)) for name in checkpoint.names)
    spots = tuple(Spot(name, position.layer, position.role) for name, position in positions)
    return Layout(checkpoint.num_layers, spots, {**checkpoint.vocabulary, **_added_tokens(checkpoint)} or None)


def _added_tokens(checkpoint: Checkpoint) -> dict[str, int]:
    """Tokens that were added to a trained tokenizer, with their ids."""
    try:
        tree = json.loads((checkpoint.folder / "tokenizer.json").read_text(encoding="utf-8"))
        return {token["content"]: int(token["id"]) for token in tree["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
