"""Roles: what a tensor does and in which layer, by its family's map or, for other models, by name and shape."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.checkpoints.families import FAMILIES, Family
from evomerge.recipe.where import Role

_log = logging.getLogger(__name__)

_ENDING = re.compile(r"\.(?:weight|bias|gamma|beta)$")
_LAYER = re.compile(r"((?:.*?\.)??(?:layers|layer|h|blocks|block))\.(\d+)\.(.+)")

_ROLES: tuple[tuple[Role, re.Pattern[str]], ...] = (
    ("head", re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.")),
    ("norm", re.compile(r"(?:^|[._])(?:\w*norm\w*|ln_?\w*)\.")),
    ("router", re.compile(r"\.(?:gate|router|shared_expert_gate)\.")),
    ("attention", re.compile(r"(?:^|[._])(?:self_attn|attn|attention|self_attention)\.")),
    ("mlp", re.compile(r"(?:^|[._])(?:mlp|feed_forward|ffn|experts|fc1|fc2)\.")),
    ("embedding", re.compile(r"(?:^|\.)(?:embed_\w+|wte|wpe|\w*embeddings?\w*)\.")),
)
"""For unknown families. The first pattern found decides; norms come before the blocks that hold them."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a tensor stands in its model and how it is laid out.

    Attributes:
        layer: Index of its layer, from 0; None for embeddings, final norm and head. The layers of an encoder and a
            decoder are numbered through: the decoder's first follows the encoder's last.
        role: What it does.
        per_token: Its first axis counts the tokens of the vocabulary.
        per_expert: Its first axis counts the experts of its layer.
        transposed: It is a matrix stored as (inputs, outputs), as in GPT-2.
    """

    layer: int | None
    role: Role
    per_token: bool = False
    per_expert: bool = False
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class _Name:
    """A name taken apart: the stack of layers, the layer's number in it, and the rest, without prefix and ending."""

    stack: str | None
    index: int
    rest: str


def positions_of(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Position]:
    """Positions of all tensors of a checkpoint.

    A model of an unknown family is warned of, once in a process; its tensors' positions are guessed.

    Args:
        config: What `config.json` says.
        shapes: Of all tensors, by name.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        _warn_of(str(config.get("model_type")))
    names = {name: _taken_apart(name, family) for name in shapes}
    first = _first_layers(names.values(), family)
    positions = {}
    for name, parts in names.items():
        layer = None if parts.stack is None else first[parts.stack] + parts.index
        known = None if family is None else _looked_up(parts, layer, shapes[name], family)
        positions[name] = known or _guessed(name, layer, shapes[name], config.get("vocab_size"))
    return positions


@functools.cache
def _warn_of(model_type: str) -> None:
    _log.warning(
        "The family %s is not known: roles of its tensors are guessed from their names and shapes.", model_type
    )


def _taken_apart(name: str, family: Family | None) -> _Name:
    bare = _ENDING.sub("", name.removeprefix(family.prefix)) if family else name
    if found := _layer_pattern(family).fullmatch(bare):
        return _Name(found.group(1), int(found.group(2)), found.group(3))
    return _Name(None, 0, bare)


@functools.cache
def _layer_pattern(family: Family | None) -> re.Pattern[str]:
    if family is None:
        return _LAYER
    return re.compile(rf"({'|'.join(map(re.escape, family.stacks))})\.(\d+)\.(.+)")


def _first_layers(names: Iterable[_Name], family: Family | None) -> dict[str, int]:
    """The number of the first layer of every stack."""
    sizes: dict[str, int] = {}
    for name in names:
        if name.stack is not None:
            sizes[name.stack] = max(sizes.get(name.stack, 0), name.index + 1)
    order = family.stacks if family else sorted(sizes, key=lambda stack: ("decoder" in stack, stack))
    first, total = {}, 0
    for stack in order:
        first[stack] = total
        total += sizes.get(stack, 0)
    return first


def _looked_up(parts: _Name, layer: int | None, shape: tuple[int, ...], family: Family) -> Position | None:
    """As the family's map says; None for a tensor that it does not mention."""
    patterns = family.ends if layer is None else family.layers
    role = next((role for role, pattern in patterns.items() if re.fullmatch(pattern, parts.rest)), None)
    if role is None:
        return None
    return Position(
        layer,
        role,
        per_token=layer is None and re.fullmatch(family.per_token, parts.rest) is not None,
        per_expert=len(shape) == 3 and re.fullmatch(family.per_expert, parts.rest) is not None,
        transposed=len(shape) == 2 and re.fullmatch(family.transposed, parts.rest) is not None,
    )


def _guessed(name: str, layer: int | None, shape: tuple[int, ...], vocab_size: Any) -> Position:
    role: Role = next((role for role, pattern in _ROLES if pattern.search(name)), "other")
    per_token = layer is None and shape[:1] == (vocab_size,) and role in ("embedding", "head", "other")
    if role == "other" and per_token:
        role = "embedding"
    if role == "other" and len(shape) == 1 and name.endswith(".weight"):  # no other part has a vector of weights
        role = "norm"
    return Position(layer, role, per_token=per_token, per_expert=len(shape) == 3 and ".experts." in name)
