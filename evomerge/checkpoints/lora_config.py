"""LoRA config: ranks and scales from `adapter_config.json`; what is not plain LoRA is refused by key."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evomerge.documents import shown
from evomerge.errors import ConfigError, Problem

N = TypeVar("N", int, float)

CONFIG_FILE = "adapter_config.json"

_CHANGES_BASE = "changes the base's weights before training, so that the factors do not fit the base itself"
_NOT_PLAIN = {
    "use_dora": "is DoRA, which rescales every row by a learned magnitude",
    "use_qalora": "is QA-LoRA, whose factors act on pooled inputs",
    "use_bdlora": "is BD-LoRA, whose factors are block-diagonal",
    "lora_bias": "adds a bias to the factors",
    "kasa_config": _CHANGES_BASE,
    "monteclora_config": "is MonteCLoRA, whose factors are drawn at random",
    "layer_replication": "repeats layers, so that the adapted model is not the base with other weights",
    "target_parameters": "adapts bare parameters, such as fused experts, whose layout the factors do not tell",
    "trainable_token_indices": "trains single rows of the embeddings",
    "alora_invocation_tokens": "is activated LoRA, which acts on the tokens after an invocation only",
    "arrow_config": "routes between adapters from token to token",
    "megatron_config": "is laid out for Megatron",
}
"""Keys that, when set, make an adapter something else than W + scale · B · A, each with what it does."""

_SILENT = {
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"),
    *("exclude_modules", "layers_pattern", "layers_to_transform", "modules_to_save", "target_modules", "bias"),
    *(
        "corda_config",
        "eva_config",
        "lora_ga_config",
        "loftq_config",
        "lora_dropout",
        "runtime_config",
        "velora_config",
    ),
    *("ensure_weight_tying", "megatron_core", "qalora_group_size"),
}
"""Keys about training, provenance or what the tensors' names say anyway."""

_READ = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"),
    *("fan_in_fan_out", "init_lora_weights"),
}
_INITIALISATIONS = (True, False, None, "true", "gaussian", "eva", "mica", "orthogonal")
"""Those that leave the base as it is."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Ranks and scales, as peft reads them.

    Attributes:
        rank: Of modules that no key of `ranks` matches.
        alpha: Numerator of the scale, of modules that no key of `alphas` matches.
        ranks: Other ranks by pattern of the module's path.
        alphas: Other numerators by pattern.
        is_rank_stabilised: Whether the scale is alpha/√rank (arXiv:2312.03732) and not alpha/rank.
        is_transposed: Whether linear layers store their weights as inputs × outputs, as GPT-2 does.
        tree: The whole file.
    """

    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    is_rank_stabilised: bool
    is_transposed: bool
    tree: Mapping[str, Any]

    def rank_of(self, module: str) -> int:
        """Rank of a module's factors."""
        return _matched(self.ranks, module, self.rank)

    def scale_of(self, module: str) -> float:
        """What the product B · A of a module is multiplied by."""
        rank = self.rank_of(module)
        return _matched(self.alphas, module, self.alpha) / (math.sqrt(rank) if self.is_rank_stabilised else rank)


def read_lora_config(folder: Path, where: str) -> LoraConfig:
    """Read `adapter_config.json`.

    Args:
        folder: Of the adapter.
        where: The file and key that named the folder, for messages.

    Raises:
        ConfigError: If it cannot be read or is not plain LoRA, with every key that says so.
    """
    file = folder / CONFIG_FILE
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f'{folder} holds no {CONFIG_FILE}. Name an adapter\'s folder, or drop "adapts" if it is a whole model.'
        raise ConfigError.at(where, what) from None
    except (OSError, ValueError) as error:
        raise ConfigError.at(where, f"{file} cannot be read: {error}.") from None
    if not isinstance(tree, dict):
        raise ConfigError.at(where, f"{file} holds no mapping. Save the adapter again.")
    ConfigError.raise_if_any(Problem(f"{file}: {key}", what) for key, what in _problems(tree))
    return LoraConfig(
        rank=tree["r"],
        alpha=tree["lora_alpha"],
        ranks=tree.get("rank_pattern") or {},
        alphas=tree.get("alpha_pattern") or {},
        is_rank_stabilised=bool(tree.get("use_rslora")),
        is_transposed=bool(tree.get("fan_in_fan_out")),
        tree=tree,
    )


def _problems(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if str(tree.get("peft_type")).upper() != "LORA":
        yield "peft_type", f"is {shown(tree.get('peft_type'))}. Only plain LoRA adapters can be merged."
        return
    advice = "Merge it into its base with peft first (merge_and_unload) and name the result as a model."
    for key, value in tree.items():
        if not value or key in _SILENT or key in _READ:
            continue
        yield key, f"{_NOT_PLAIN.get(key, f'is {shown(value)}, which evomerge does not know')}. {advice}"
    start = tree.get("init_lora_weights", True)
    if (start.lower() if isinstance(start, str) else start) not in _INITIALISATIONS:
        convert = (
            "Save it with peft's save_pretrained(…, path_initial_model_for_weight_conversion=…), or merge it first."
        )
        yield "init_lora_weights", f"{shown(start)} {_CHANGES_BASE}. {convert}"
    if not _is_rank(tree.get("r")):
        yield "r", f"{shown(tree.get('r'))} is no rank. A rank is a whole number from 1."
    if not _is_alpha(tree.get("lora_alpha")):
        yield "lora_alpha", f"{shown(tree.get('lora_alpha'))} is not a finite number."
    if tree.get("bias", "none") not in ("none", "lora_only", "all"):
        yield "bias", f"{shown(tree['bias'])} is none of none, lora_only and all."
    for key, is_fit, noun in (("rank_pattern", _is_rank, "ranks"), ("alpha_pattern", _is_alpha, "numbers")):
        yield from ((key, what) for what in _pattern_problems(tree.get(key) or {}, is_fit, noun))


def _pattern_problems(patterns: Any, is_fit: Callable[[Any], bool], noun: str) -> Iterator[str]:
    if not isinstance(patterns, dict) or not all(is_fit(value) for value in patterns.values()):
        yield f"{shown(patterns)} does not map modules to {noun}."
        return
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f'"{pattern}" is no regular expression: {error}.'


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_alpha(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _matched(patterns: Mapping[str, N], module: str, default: N) -> N:
    """The value of the first pattern that matches the end of a module's path, as peft looks it up."""
    return next((value for key, value in patterns.items() if re.fullmatch(rf"(?:.*\.)?(?:{key})", module)), default)
