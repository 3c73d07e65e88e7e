"""Vocabularies: whether the rows of two models' embeddings mean the same tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Vocabulary = Mapping[str, int]
"""Token to id, without tokens that were added to a trained tokenizer; empty where no file says."""


def vocabulary_of(folder: Path) -> Vocabulary:
    """The vocabulary of the tokenizer beside a model; empty beside weights alone."""
    readers = (_tokenizer_json, _vocab_json, _vocab_txt)
    return next((found for reader in readers if (found := reader(folder))), {})


def agree(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether one vocabulary is a part of the other, with the same ids."""
    small, large = sorted((one, other), key=len)
    return small.items() <= large.items()


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
        with (folder / "vocab.txt").open(encoding="utf-8") as file:  # whose tokens may be line ends but to a file
            return {line.rstrip("\n"): index for index, line in enumerate(file)}
    except (OSError, ValueError):
        return {}
