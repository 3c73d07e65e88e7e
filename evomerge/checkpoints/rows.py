"""Rows: how many tokens' rows several models share, where their embeddings are not of one length."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.vocabulary import agree


def shared_rows(checkpoints: Sequence[Checkpoint]) -> dict[str, int]:
    """How many rows all models have of each tensor with one row per token that is longer in some than in others.

    Fine-tunes pad their embeddings to other sizes, or add tokens at the end. The shared rows can be merged, the rest
    exists in some models only.

    Returns:
        Nothing of models whose tokenizers are unknown or differ: their rows do not correspond.
    """
    first, *others = checkpoints
    tables = [name for name in first.names if first.position(name).per_token]
    rows = {name: {one.shape(name)[0] for one in checkpoints if name in one.files} for name in tables}
    uneven = {name: min(counts) for name, counts in rows.items() if len(counts) > 1}
    return uneven if uneven and all(share_tokens(first, other) for other in others) else {}


def share_tokens(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether the shared rows of two models are known to mean the same tokens."""
    return bool(one.vocabulary) and bool(other.vocabulary) and agree(one.vocabulary, other.vocabulary)
