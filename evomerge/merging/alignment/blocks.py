"""Blocks: the layers of a Llama-family checkpoint, as the parts whose units can be re-coordinated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError, Problem

Part = Literal["query", "key", "value", "output", "gate", "up", "down"]

_SEPARATE: Mapping[str, tuple[Part, ...]] = {
    "self_attn.q_proj": ("query",),
    "self_attn.k_proj": ("key",),
    "self_attn.v_proj": ("value",),
    "self_attn.o_proj": ("output",),
    "mlp.gate_proj": ("gate",),
    "mlp.up_proj": ("up",),
    "mlp.down_proj": ("down",),
}
_FUSED: Mapping[str, tuple[Part, ...]] = {
    "self_attn.qkv_proj": ("query", "key", "value"),
    "self_attn.o_proj": ("output",),
    "mlp.gate_up_proj": ("gate", "up"),
    "mlp.down_proj": ("down",),
}
FAMILIES: Mapping[str, Mapping[str, tuple[Part, ...]]] = {
    "gemma": _SEPARATE,
    "gemma2": _SEPARATE,
    "gemma3_text": _SEPARATE,
    "llama": _SEPARATE,
    "mistral": _SEPARATE,
    "phi3": _FUSED,
    "qwen2": _SEPARATE,
    "qwen3": _SEPARATE,
}
"""By `model_type`: the linear layers of a block and the parts that each holds, one below another."""

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.(.+)\.(weight|bias)$")


class Place(NamedTuple):
    """What a tensor of a block is.

    Attributes:
        layer: Index of its layer.
        parts: What it holds, one after another along the axis.
        axis: Along which the units lie: rows of what reads the residual stream, columns of what writes it.
    """

    layer: int
    parts: tuple[Part, ...]
    axis: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes that a model needs to share with its reference.

    Attributes:
        layers: How many.
        query_heads: Per layer.
        kv_heads: Key and value heads per layer; each serves as many query heads as any other.
        head_dim: Channels of one head.
        hidden_units: Of one MLP.
        rotary_keys: Whether the rotations of gauge.rotary leave scores unchanged: not with norms between the
            projections and the rotary embedding, nor when that turns only some of the channels.
    """

    layers: int
    query_heads: int
    kv_heads: int
    head_dim: int
    hidden_units: int
    rotary_keys: bool

    def units(self, part: Part) -> int:
        """How many rows or columns a part has."""
        heads = {"query": self.query_heads, "output": self.query_heads, "key": self.kv_heads, "value": self.kv_heads}
        return heads[part] * self.head_dim if part in heads else self.hidden_units


class Blocks:
    """The layers of one checkpoint.

    Attributes:
        checkpoint: Where they lie.
        geometry: Their sizes.
        places: Every tensor of a block that an alignment changes, by name, sorted.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Find the parts.

        Raises:
            ConfigError: If the family has no known alignment, or the tensors do not fit the config.
        """
        self.checkpoint = checkpoint
        self._where = str(checkpoint.folder)
        self._linears = self._linears_of_family()
        places = ((name, self._place(name)) for name in sorted(checkpoint.names))
        self.places: Mapping[str, Place] = {name: place for name, place in places if place is not None}
        self.geometry = self._read_geometry()
        ConfigError.raise_if_any(self._misfits())

    def read(self, layer: int) -> dict[Part, torch.Tensor]:
        """The parts of a layer.

        Returns:
            float32 (units, width): one row for each unit. Width is the residual stream's, and one column more for a
            bias, which moves as its row does.

        Raises:
            ConfigError: If a tensor holds NaN or infinity.
        """
        columns: dict[Part, list[torch.Tensor]] = {}
        for name, place in self.places.items():
            if place.layer == layer:
                tensor = self.checkpoint.tensor(name)
                if not tensor.isfinite().all():
                    what = "holds NaN or infinity, which nothing can be matched with. Download the model again."
                    raise ConfigError.at(f"{self._where}: {name}", what)
                for part, rows in self.split(place, tensor).items():
                    columns.setdefault(part, []).append(rows.float())
        return {part: torch.cat(pieces, dim=1) for part, pieces in columns.items()}

    def split(self, place: Place, tensor: torch.Tensor) -> dict[Part, torch.Tensor]:
        """The parts in a tensor, each (units, width), in its dtype."""
        rows = tensor.movedim(place.axis, 0).reshape(tensor.shape[place.axis], -1)
        sizes = [self.geometry.units(part) for part in place.parts]
        return dict(zip(place.parts, torch.split(rows, sizes), strict=True))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of all blocks, by names without what stands before `layers`."""
        return {name[name.index("layers.") :]: self.checkpoint.shape(name) for name in self.places}

    def _linears_of_family(self) -> Mapping[str, tuple[Part, ...]]:
        family = str(self.checkpoint.config.get("model_type"))
        if family not in FAMILIES:
            what = f'no alignment is known for the model type "{family}". Known: {", ".join(FAMILIES)}.'
            raise ConfigError.at(f"{self._where}/config.json", what)
        if self.checkpoint.config.get("quantization_config"):
            what = "is quantised, and codes cannot be rotated. Use the model in its original precision."
            raise ConfigError.at(self._where, what)
        return FAMILIES[family]

    def _place(self, name: str) -> Place | None:
        found = _LAYER.search(name)
        parts = self._linears.get(found[2]) if found else None
        if found is None or parts is None:
            return None
        is_writing = parts[0] in ("output", "down")
        if is_writing and found[3] == "bias":  # belongs to the residual stream
            return None
        return Place(int(found[1]), parts, axis=1 if is_writing else 0)

    def _read_geometry(self) -> Geometry:
        config = self.checkpoint.config
        heads = config.get("num_attention_heads")
        writing = {place.parts[0]: name for name, place in self.places.items() if place.axis == 1}
        if not isinstance(heads, int) or heads < 1 or {"output", "down"} - set(writing):
            what = "does not say how many attention heads there are, or the folder lacks the linear layers of blocks."
            raise ConfigError.at(f"{self._where}/config.json", f"{what} Download the model again.")
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        turned = config.get("partial_rotary_factor", rope.get("partial_rotary_factor"))
        has_norms = any(re.search(r"layers\.\d+\.self_attn\.[qk]_norm\.", name) for name in self.checkpoint.names)
        return Geometry(
            layers=self.checkpoint.num_layers,
            query_heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=self.checkpoint.shape(writing["output"])[1] // heads,
            hidden_units=self.checkpoint.shape(writing["down"])[1],
            rotary_keys=not has_norms and turned in (None, 1),
        )

    def _misfits(self) -> Iterator[Problem]:
        for name, place in self.places.items():
            has, needed = self.checkpoint.shape(name)[place.axis], sum(map(self.geometry.units, place.parts))
            if has != needed:
                yield Problem(f"{self._where}: {name}", f"has {has} {_AXES[place.axis]}; its config asks for {needed}.")
        for layer in range(self.geometry.layers):
            held = {part for place in self.places.values() if place.layer == layer for part in place.parts}
            if missing := [part for parts in self._linears.values() for part in parts if part not in held]:
                yield Problem(self._where, f"layer {layer} has no {missing[0]} projection. Download the model again.")


_AXES = ("rows", "columns")


def check_alignable(reference: Blocks, model: Blocks) -> None:
    """Refuse models whose blocks differ in shape.

    Raises:
        ConfigError: Naming what differs.
    """
    where = str(model.checkpoint.folder)
    its, wanted = asdict(model.geometry), asdict(reference.geometry)
    sizes = ("layers", "query_heads", "kv_heads", "head_dim", "hidden_units")
    if differing := [key for key in sizes if its[key] != wanted[key]]:
        stated = "; ".join(f"{key} is {its[key]}, not {wanted[key]}" for key in differing)
        what = f"is built differently from {reference.checkpoint.folder}: {stated}."
        raise ConfigError.at(where, f"{what} Units can only be matched one to one.")
    shapes, others = model.shapes(), reference.shapes()
    if odd := sorted(name for name in shapes.keys() | others.keys() if shapes.get(name) != others.get(name)):
        says = [str(list(held[odd[0]])) if odd[0] in held else "absent" for held in (shapes, others)]
        what = f"{len(odd)} tensors of its blocks differ in shape from {reference.checkpoint.folder}'s: "
        raise ConfigError.at(where, f"{what}{odd[0]} is {says[0]}, not {says[1]}. Align models of one architecture.")
