"""Whether checkpoints can be merged tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.errors import ConfigError, Problem

_MUST_AGREE = ("model_type", "num_attention_heads", "num_key_value_heads", "head_dim")
"""Config keys that change what a tensor of the same shape means."""


def check_mergeable(checkpoints: Mapping[str, Checkpoint], where: str) -> None:
    """Refuse models whose tensors do not correspond.

    Args:
        checkpoints: By the names of the recipe; each is compared with the first.
        where: Name of the file that names them.

    Raises:
        ConfigError: Naming every model that differs and how.
    """
    first, *others = checkpoints
    problems: list[Problem] = []
    for name in others:
        for difference in _differences(checkpoints[first], checkpoints[name], first):
            problems.append(Problem(f"{where}: models.{name}", difference))
    ConfigError.raise_if_any(problems)


def _differences(reference: Checkpoint, other: Checkpoint, first: str) -> Iterator[str]:
    if differing := [key for key in _MUST_AGREE if reference.config.get(key) != other.config.get(key)]:
        pairs = "; ".join(f"{key} is {other.config.get(key)}, not {reference.config.get(key)}" for key in differing)
        yield f"is built differently from {first}: {pairs}. Merge fine-tunes of one ancestor."
        return
    if _vocabulary(reference) != _vocabulary(other):
        yield (
            f"has another vocabulary than {first} ({len(_vocabulary(other))} tokens against {len(_vocabulary(reference))}). "
            "Rows of the embeddings would not mean the same tokens; use models that share a tokenizer."
        )
    missing = [name for name in reference.names if name not in other.files]
    if missing:
        yield f"lacks {len(missing)} tensors of {first}, {missing[0]} among them. Merge fine-tunes of one ancestor."
    shared = [name for name in reference.names if name in other.files]
    misshapen = [name for name in shared if reference.shape(name) != other.shape(name)]
    if misshapen:
        name = misshapen[0]
        yield (
            f"{len(misshapen)} tensors have other shapes than in {first}: {name} is {list(other.shape(name))}, "
            f"not {list(reference.shape(name))}. Merge fine-tunes of one ancestor with one vocabulary."
        )


def _vocabulary(checkpoint: Checkpoint) -> dict[str, Any]:
    """Token to id as tokenizer.json has it; empty where there is no such file."""
    file = checkpoint.folder / "tokenizer.json"
    try:
        model = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(model) if isinstance(model, dict) else {token: index for index, (token, *_) in enumerate(model)}
