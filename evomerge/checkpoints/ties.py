"""Tied weights: which tensors of a checkpoint may only repeat another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.checkpoints.families import FAMILIES, Family
from evomerge.checkpoints.roles import Position


def ties_of(config: Mapping[str, Any], positions: Mapping[str, Position]) -> dict[str, tuple[str, ...]]:
    """The tensors that a tensor may repeat, for every tensor that may repeat one.

    Whether it does is seen in its numbers: transformers ties only what is equal on disk, and so a copy that was
    merged by itself would untie the model.

    Args:
        config: What `config.json` says.
        positions: Of all tensors, by name.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    candidates = _by_map(family, positions) if family else _by_role(positions)
    has_tied_head = ties_head(config)
    return {
        copy: originals for copy, originals in candidates.items() if has_tied_head or positions[copy].role != "head"
    }


def ties_head(config: Mapping[str, Any]) -> bool:
    """Whether a model's head is its embeddings, unless its numbers on disk differ."""
    family, stated = FAMILIES.get(str(config.get("model_type"))), config.get("tie_word_embeddings")
    return stated is True or (stated is None and family is not None and family.ties)


def _by_map(family: Family, positions: Mapping[str, Position]) -> dict[str, tuple[str, ...]]:
    names = {name.removeprefix(family.prefix): name for name in positions}
    found = [(copy, original) for copy, original in family.copies.items() if copy in names and original in names]
    return {names[copy]: (names[original],) for copy, original in found}


def _by_role(positions: Mapping[str, Position]) -> dict[str, tuple[str, ...]]:
    embeddings = tuple(name for name, position in positions.items() if position.role == "embedding")
    return {name: embeddings for name, position in positions.items() if position.role == "head"}
