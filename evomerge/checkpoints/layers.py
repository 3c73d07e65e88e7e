"""Layers: the tensors of a checkpoint layer by layer, their names elsewhere, and which of them read and write."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.families import FAMILIES, Family

_ENDING = re.compile(r"\.(?:weight|bias)$")

_PER_LAYER = ("layer_types", "mlp_layer_types", "no_rope_layers")
"""Config keys with one entry per layer."""

_DEPTHS = ("num_hidden_layers", "n_layer")
"""Config keys that say how many layers there are."""


class Layers:
    """The layers of a checkpoint whose family is known well enough to put them in another order.

    Attributes:
        names: Per layer, the names of its tensors, in the order of the files.
        others: Names of the tensors outside the layers.
        stack: What stands before the layers' numbers inside the base model.
    """

    def __init__(self, checkpoint: Checkpoint, family: Family) -> None:
        """Sort the tensors of a checkpoint.

        Args:
            checkpoint: Any of the family.
            family: Its family, one with `writes`.
        """
        (self.stack,) = family.stacks
        self._writes, self._reads = re.compile(family.writes or "(?!)"), re.compile(family.reads or "(?!)")
        self._norms = {name for name in checkpoint.names if checkpoint.position(name).role == "norm"}
        self._norm_offset = family.norm_offset
        self._pattern = re.compile(rf"({re.escape(family.prefix)})?{re.escape(self.stack)}\.(\d+)\.(.+)")
        by_layer: dict[int, list[str]] = defaultdict(list)
        self.others: list[str] = []
        for name in checkpoint.names:
            found = self._pattern.fullmatch(name)
            (by_layer[int(found[2])] if found else self.others).append(name)
        self.names: Sequence[Sequence[str]] = [by_layer[layer] for layer in range(checkpoint.num_layers)]

    def moved(self, name: str, layer: int) -> str:
        """The name that a layer's tensor has in the layer of another number."""
        prefix, _, rest = self._parts(name)
        return f"{prefix or ''}{self.stack}.{layer}.{rest}"

    def bare(self, name: str) -> str:
        """A tensor's name inside its layer."""
        return self._parts(name)[2]

    def writes(self, name: str) -> bool:
        """Whether a layer's tensor scales what the layer adds to the residual stream."""
        return self._writes.fullmatch(_ENDING.sub("", self.bare(name))) is not None

    def reads(self, name: str) -> bool:
        """Whether a layer's tensor scales what the layer gets of the residual stream."""
        return self._reads.fullmatch(self.bare(name).removesuffix(".weight")) is not None

    def norm_offset(self, name: str) -> float | None:
        """What is added to a norm's weights before it multiplies by them; None for what is no norm's."""
        return self._norm_offset if name in self._norms else None

    def _parts(self, name: str) -> tuple[str | None, int, str]:
        found = self._pattern.fullmatch(name)
        assert found, f"{name} lies in no layer"
        return found[1], int(found[2]), found[3]


def layers_of(checkpoint: Checkpoint) -> Layers | None:
    """The layers of a checkpoint; None where routes over its family are not known."""
    family = FAMILIES.get(str(checkpoint.config.get("model_type")))
    return None if family is None or family.writes is None else Layers(checkpoint, family)


def likes_of(donor: Checkpoint, source: Checkpoint) -> list[int | None]:
    """For each layer of a model, the layer of another that its weights can be poured into.

    That is one with tensors of the same names and shapes, of which the config says the same: the layer of the same
    number where it will do.

    Args:
        donor: Gives config and modules; of a family whose layers are known.
        source: Gives weights; of the same family.

    Returns:
        None for layers of a kind that the donor does not have.
    """
    if source is donor:
        return [*range(donor.num_layers)]
    own, others = _kinds(donor), _kinds(source)
    return [
        layer if own[layer : layer + 1] == [kind] else next((like for like, its in enumerate(own) if its == kind), None)
        for layer, kind in enumerate(others)
    ]


def _kinds(checkpoint: Checkpoint) -> list[Hashable]:
    """What tells each layer's module from others': what the config says of it, and its tensors."""
    layers = layers_of(checkpoint)
    assert layers is not None, "the family is known"
    entries = [checkpoint.understood[key] for key in _PER_LAYER if isinstance(checkpoint.understood.get(key), list)]
    return [
        (
            tuple(tuple(entry[layer : layer + 1]) for entry in entries),
            frozenset((layers.bare(name), checkpoint.shape(name)) for name in names),
        )
        for layer, names in enumerate(layers.names)
    ]


def config_changes(config: Mapping[str, Any], layers: Sequence[int]) -> dict[str, Any]:
    """What a model's config says of its layers after they were put in another order.

    Args:
        config: As transformers understands it, with what the file leaves to its defaults.
        layers: For each layer of the result, which layer of the model it is.

    Returns:
        The keys that differ, or may.
    """
    changes: dict[str, Any] = {key: len(layers) for key in _DEPTHS if key in config}
    for key in _PER_LAYER:
        if isinstance(entries := config.get(key), list):
            changes[key] = [entries[layer] for layer in layers]
    if "max_window_layers" in config:  # from which layer on windows slide, where `layer_types` does not say
        types = [*changes.get("layer_types", []), "sliding_attention"]
        changes["max_window_layers"] = next(i for i, kind in enumerate(types) if kind != "full_attention")
    if "mlp_only_layers" in config:
        dense = [layer for layer in range(max(layers) + 1) if not _has_experts(config, layer)]
        changes["mlp_only_layers"] = [place for place, layer in enumerate(layers) if layer in dense]
        changes["decoder_sparse_step"] = 1
    return changes


def _has_experts(config: Mapping[str, Any], layer: int) -> bool:
    """As Qwen's mixtures decide it: by a list of layers without, and by every which layer has some."""
    is_listed = layer in (config["mlp_only_layers"] or ())
    return not is_listed and (layer + 1) % int(config.get("decoder_sparse_step") or 1) == 0
