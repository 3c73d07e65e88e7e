"""Folder: a merged adapter as peft's two files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.adapter import PREFIX, WEIGHTS_FILE, Adapter, Target
from evomerge.checkpoints.factors import Factors
from evomerge.checkpoints.lora_config import CONFIG_FILE
from evomerge.merging.shards import TensorSpec, write_shard

_BIASES = ("none", "lora_only", "all")
_WHICH_MODULES = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")


def write_adapter(
    folder: Path,
    changes: Mapping[str, Factors],
    whole: Mapping[str, torch.Tensor],
    adapters: Sequence[Adapter],
    targets: Mapping[str, Target],
    dtype: torch.dtype,
) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, and read the weights back.

    Args:
        folder: Exists; a caller that fails here throws it away.
        changes: Factors by the name of the tensor that they change, all of scale 1; at least one.
        whole: Tensors that replace the base's, by their keys in the file.
        adapters: What was merged, all of one base; the first gives its name, the task and how weights are stored.
        targets: The module of each tensor that has factors.
        dtype: Of the factors on disk; whole tensors have their own.

    Raises:
        EvomergeError: If what was read back differs.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, change in changes.items():
        tensors |= _stored(targets[name], change)
    specs = [TensorSpec(key, dtype, tuple(tensor.shape)) for key, tensor in tensors.items()]
    specs += [TensorSpec(key, tensor.dtype, tuple(tensor.shape)) for key, tensor in whole.items()]
    write_shard(folder / WEIGHTS_FILE, specs, (tensors | dict(whole)).__getitem__)
    tree = _config({targets[name].module: change.rank for name, change in changes.items()}, adapters)
    (folder / CONFIG_FILE).write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def _stored(target: Target, change: Factors) -> dict[str, torch.Tensor]:
    """The two tensors of one module under peft's names."""
    kind, ending = ("lora_embedding_", "") if target.is_embedding else ("lora_", ".weight")
    factors = {"A": change.a_RI, "B": change.b_OR}
    return {f"{PREFIX}{target.module}.{kind}{letter}{ending}": factor for letter, factor in factors.items()}


def _config(ranks: Mapping[str, int], adapters: Sequence[Adapter]) -> dict[str, Any]:
    """The configuration whose scales are all 1: alpha equals the rank everywhere."""
    first, trees = adapters[0].config.tree, [adapter.config.tree for adapter in adapters]
    (rank, _), *_ = Counter(ranks.values()).most_common()
    others = {module: own for module, own in ranks.items() if own != rank}
    has_same_modules = set(ranks) == {target.module for target in adapters[0].targets.values()}
    which = {key: first.get(key) for key in _WHICH_MODULES if has_same_modules}
    saved = sorted({module for tree in trees for module in tree.get("modules_to_save") or ()})
    return {
        "peft_type": "LORA",
        "task_type": first.get("task_type"),
        "base_model_name_or_path": first.get("base_model_name_or_path"),
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(ranks),
        **which,
        "fan_in_fan_out": adapters[0].config.is_transposed,
        "modules_to_save": saved or None,
        "bias": max((tree.get("bias") or _BIASES[0] for tree in trees), key=_BIASES.index),
        "lora_dropout": 0.0,
    }
