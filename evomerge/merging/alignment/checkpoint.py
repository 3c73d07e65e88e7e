"""An aligned model as an ordinary checkpoint, checked to compute what it computed before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from evomerge import seeds
from evomerge.errors import EvomergeError
from evomerge.merging.alignment.alignment import Alignment
from evomerge.merging.alignment.blocks import Blocks
from evomerge.merging.folder import TOKENIZER_FILES, copy_files, new_folder, write_weights
from evomerge.merging.shards import TensorSpec

_COMPANIONS = ("config.json", "generation_config.json", *TOKENIZER_FILES)
_SEQUENCES, _TOKENS = 2, 32
_EXACT, _ROUNDED = 1e-4, 5e-2
"""Allowed differences: for sums in another order, and for rotated weights that were rounded to 16 bits."""


@dataclass(frozen=True, slots=True)
class LogitCheck:
    """Whether two models compute the same, on random token ids and in float32.

    Attributes:
        difference: Root mean square of the differences of logits, in standard deviations of the logits.
        allowed: The largest difference that counts as the same.
        num_tokens: How many positions were compared.
    """

    difference: float
    allowed: float
    num_tokens: int = _SEQUENCES * _TOKENS


def specs_of(model: Blocks) -> list[TensorSpec]:
    """All tensors of a model as it stores them, which an alignment does not change."""
    source = model.checkpoint
    return [TensorSpec(name, source.dtype(name), source.shape(name)) for name in source.names]


def write_aligned(
    model: Blocks,
    alignment: Alignment,
    destination: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    max_shard_bytes: int = 5_000_000_000,
) -> LogitCheck:
    """Write a model in its new coordinates, with its config and tokenizer.

    Both models are loaded in float32, one after the other, and their logits are compared before the new one gets its
    name. Writing needs memory for one tensor; the comparison for a model.

    Args:
        model: The model.
        alignment: Of this model.
        destination: New folder.
        progress: Told how many bytes of how many are written.
        max_shard_bytes: A larger model is written as several files.

    Returns:
        The comparison.

    Raises:
        ConfigError: If the destination exists or the disk is too small.
        EvomergeError: If writing fails or the logits differ; nothing is left behind then.
    """
    source = model.checkpoint
    expected = _logits(source.folder)
    specs = specs_of(model)
    with new_folder(destination, sum(spec.num_bytes for spec in specs)) as draft:
        write_weights(draft, specs, lambda name: alignment.tensor(model, name), progress, max_shard_bytes)
        copy_files(source.folder, draft, _COMPANIONS)
        check = LogitCheck(_difference(_logits(draft), expected), _allowed(model, alignment))
        if not check.difference <= check.allowed:
            what = f"the aligned model's logits differ by {check.difference:.1e} of their standard deviation"
            advice = f"{check.allowed:.0e} is allowed. Nothing was written. Please report this with both configs."
            raise EvomergeError(f"{destination}: {what}; {advice}")
    return check


def _allowed(model: Blocks, alignment: Alignment) -> float:
    is_rounded = any(model.checkpoint.dtype(name).itemsize < torch.float32.itemsize for name in model.places)
    return _ROUNDED if alignment.is_rotating and is_rounded else _EXACT


def _difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt() / expected.std())


@torch.inference_mode()
def _logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    ).eval()
    vocabulary = model.get_input_embeddings().num_embeddings
    ids = seeds.generator(0, "alignment", "tokens").integers(vocabulary, size=(_SEQUENCES, _TOKENS))
    logits: torch.Tensor = model(torch.from_numpy(ids)).logits
    return logits
