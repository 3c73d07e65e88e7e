"""Vocabularies: whether the rows of two models' embeddings mean the same tokens, and how many rows they share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evomerge.checkpoints.checkpoint import Checkpoint


def vocabulary_of(checkpoint: Checkpoint) -> dict[str, int]:
    """Token to id, without tokens that were added to a trained vocabulary.

    Returns:
        Empty where no file of the tokenizer says, as beside weights alone.
    """
    folder = checkpoint.folder
    readers = (_tokenizer_json, _vocab_json, _vocab_txt)
    return next((found for reader in readers if (found := reader(folder))), {})


def agree(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether one vocabulary is the beginning of the other, or the same."""
    small, large = sorted((one, other), key=len)
    return small.items() <= large.items()


def shared_rows(checkpoints: Iterable[Checkpoint]) -> dict[str, int]:
    """How many rows all models have of each tensor with one row per token, where they do not all have the same.

    Fine-tunes pad their embeddings to other sizes, or add tokens at the end. Rows beyond the shared ones exist in some
    models only and cannot be merged.
    """
    first, *others = checkpoints
    shared = {}
    for name in first.names:
        if first.position(name).per_token:
            rows = {checkpoint.shape(name)[0] for checkpoint in (first, *others) if name in checkpoint.files}
            if len(rows) > 1:
                shared[name] = min(rows)
    return shared


def _tokenizer_json(folder: Path) -> dict[str, int]:
    try:
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        if isinstance(vocabulary, dict):
            return dict(vocabulary)
        return {token: index for index, (token, *_) in enumerate(vocabulary)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _vocab_json(folder: Path) -> dict[str, int]:
    try:
        vocabulary: Any = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(vocabulary) if isinstance(vocabulary, dict) else {}


def _vocab_txt(folder: Path) -> dict[str, int]:
    try:
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return {token: index for index, token in enumerate(lines)}
