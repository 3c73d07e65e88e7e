"""Gauges: parts of an expert that compute what the base's do with other numbers, which no entrywise merge survives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.diagnosis.heads import undo_value_gauge
from evomerge.checkpoints.diagnosis.moments import Change
from evomerge.checkpoints.diagnosis.survey import Progress, Survey, ignore
from evomerge.checkpoints.diagnosis.units import undo_unit_order
from evomerge.checkpoints.roles import Position
from evomerge.documents import Value

Symmetry: TypeAlias = Literal["value basis", "unit order"]

SUSPECT_COSINE = 0.9
"""Below this cosine with the base, weights are tried in other gauges. Fine-tuning alone seldom gets there."""

REPAIRED_SHARE = 0.5
"""A gauge counts as found when undoing it leaves less than this share of the distance to the base."""

_HEADS: tuple[tuple[str, str], ...] = (
    ("v_proj", "o_proj"),
    ("v_proj", "out_proj"),
    ("self.value", "output.dense"),
    ("attention.value", "output.dense"),
    ("SelfAttention.v", "SelfAttention.o"),
)
"""Value and output projections, by the ends of their names before `.weight`."""

_UNITS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("gate_proj", "up_proj"), "down_proj"),
    (("gate_up_proj",), "down_proj"),
    (("w1", "w3"), "w2"),
    (("fc1",), "fc2"),
    (("c_fc",), "c_proj"),
    (("up_proj",), "down_proj"),
    (("dense_h_to_4h",), "dense_4h_to_h"),
    (("intermediate.dense",), "output.dense"),
    (("wi_0", "wi_1"), "wo"),
    (("wi",), "wo"),
)
"""What leads into the hidden units of an MLP, and what leads out."""


class Regauged(Value):
    """A part of an expert that is the base's in another gauge.

    Attributes:
        expert: Name of the model.
        layer: Of the part; None outside the layers.
        symmetry: Of the function: a basis of the values in each head, or the order of an MLP's hidden units.
        before: Relative norm of what the expert changed in these tensors, as they stand.
        after: The same once the gauge is undone.
    """

    expert: str
    layer: int | None
    symmetry: Symmetry
    before: float
    after: float

    @property
    def part(self) -> Position:
        """Layer and role."""
        return Position(self.layer, "attention" if self.symmetry == "value basis" else "mlp")


@dataclass(frozen=True, slots=True)
class Block:
    """Tensors that share a symmetry.

    Attributes:
        symmetry: Which.
        names: Of the tensors: what leads in, then what leads out.
    """

    symmetry: Symmetry
    names: tuple[str, ...]


def regauged(survey: Survey, models: Mapping[str, Checkpoint], progress: Progress = ignore) -> list[Regauged]:
    """Parts that come back to the base when a gauge is undone.

    Only parts that the survey found far from the base are read again, one at a time.

    Args:
        survey: Of these models.
        models: By name.
        progress: Told after every part.
    """
    suspects = [
        (expert, block)
        for index, expert in enumerate(survey.experts)
        for block in blocks(list(survey.tensors))
        if any(_is_suspect(survey.tensors[name].change(index)) for name in block.names)
    ]
    found: list[Regauged] = []
    for done, (expert, block) in enumerate(suspects, start=1):
        gauge = _tried(block, models[survey.base], models[expert], expert)
        if gauge is not None and gauge.after < REPAIRED_SHARE * gauge.before:
            found.append(gauge)
        progress("trying gauges", done, len(suspects))
    return found


def blocks(names: list[str]) -> Iterator[Block]:
    """The blocks among these tensors whose symmetry is known."""
    known, taken = set(names), set[str]()
    patterns: list[tuple[Symmetry, tuple[str, ...], str]] = [("value basis", (into,), out) for into, out in _HEADS]
    patterns += [("unit order", into, out) for into, out in _UNITS]
    for symmetry, inward, outward in patterns:
        for name in names:
            stem = name.removesuffix(f"{inward[0]}.weight")
            found = tuple(f"{stem}{end}.weight" for end in (*inward, outward))
            if stem != name and known.issuperset(found) and taken.isdisjoint(found):
                taken.update(found)
                yield Block(symmetry, found)


def _is_suspect(change: Change) -> bool:
    return change.cosine_with_base is not None and change.cosine_with_base < SUSPECT_COSINE


def _tried(block: Block, base: Checkpoint, expert: Checkpoint, name: str) -> Regauged | None:
    ours = [base.tensor(tensor).to(torch.float32) for tensor in block.names]
    theirs = [expert.tensor(tensor).to(torch.float32) for tensor in block.names]
    if any(tensor.ndim != 2 for tensor in ours):
        return None
    if block.symmetry == "value basis":
        num_heads = _num_value_heads(base)
        if num_heads is None or ours[0].shape[0] % num_heads:
            return None
        undone = list(undo_value_gauge((ours[0], ours[1]), (theirs[0], theirs[1]), num_heads))
    else:
        ours, theirs = _by_unit(ours, block.names), _by_unit(theirs, block.names)
        undone = undo_unit_order(ours, theirs)
    layer = base.position(block.names[0]).layer
    before, after = _distance(ours, theirs), _distance(ours, undone)
    return Regauged(expert=name, layer=layer, symmetry=block.symmetry, before=before, after=after)


def _num_value_heads(checkpoint: Checkpoint) -> int | None:
    for key in ("num_key_value_heads", "num_attention_heads", "n_head", "num_heads"):
        if isinstance(checkpoint.config.get(key), int):
            return int(checkpoint.config[key])
    return None


def _by_unit(tensors: list[torch.Tensor], names: tuple[str, ...]) -> list[torch.Tensor]:
    """Every tensor as (units, width); a fused gate and up becomes two."""
    if names[0].endswith("c_fc.weight") and tensors[0].shape[0] < tensors[0].shape[1]:  # GPT-2 stores the transposed
        tensors = [tensor.T for tensor in tensors]
    *inward, outward = tensors
    return [*(half for tensor in inward for half in torch.split(tensor, outward.shape[1])), outward.T]


def _distance(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """Relative norm of the difference over all tensors of a block."""
    apart = sum(float((their - our).double().square().sum()) for our, their in zip(ours, theirs, strict=True))
    total = sum(float(our.double().square().sum()) for our in ours)
    return math.sqrt(apart / total) if total else 0.0
