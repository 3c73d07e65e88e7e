"""Random Llama checkpoints for the benchmarks: a base, and experts that differ from it a little nearly everywhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig

from evomerge.checkpoints import Checkpoint
from evomerge.merging.shards import TensorSpec, write_shard

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SHAPES = {
    "4m": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 2, "vocab_size": 4000},
    "16m": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 3, "vocab_size": 4000},
    "60m": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 6, "vocab_size": 4000},
    "tiny": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 1000},
    "160m": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 32000},
    "1b1": {  # TinyLlama
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "vocab_size": 32000,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
}
WEIGHT_STD = 0.02
CHANGE_STD = 0.002
"""What fine-tuning changes, a tenth of the weights: large enough that bfloat16 does not swallow it."""


def make(folder: Path, size: str, precision: str, num_experts: int = 3) -> list[Path]:
    """The folders of a base and its experts, written unless they are there already.

    Args:
        folder: Where they lie, one folder per model.
        size: A key of `SHAPES`.
        precision: A key of `DTYPES`.
        num_experts: How many experts there are beside the base.
    """
    homes = [folder / f"{size}-{precision}" / name for name in ("base", "a", "b", "c", "d", "e")[: num_experts + 1]]
    for number, home in enumerate(homes):
        if not (home / "config.json").exists():
            print(f"making {home}", file=sys.stderr)
            _write(home, size, DTYPES[precision], number, None if number == 0 else Checkpoint(homes[0]))
    return homes


def _write(home: Path, size: str, dtype: torch.dtype, number: int, base: Checkpoint | None) -> None:
    config = LlamaConfig(architectures=["LlamaForCausalLM"], dtype=dtype, tie_word_embeddings=False, **SHAPES[size])
    specs = [TensorSpec(name, dtype, shape) for name, shape in _shapes(config).items()]
    generator = torch.Generator().manual_seed(number)

    def tensor(name: str) -> torch.Tensor:
        shape = next(spec.shape for spec in specs if spec.name == name)
        noise = torch.empty(shape).normal_(generator=generator)
        if base is None:
            return (1.0 if len(shape) == 1 else 0.0) + WEIGHT_STD * noise
        return base.tensor(name).float() + CHANGE_STD * noise

    home.mkdir(parents=True, exist_ok=True)
    write_shard(home / "model.safetensors", specs, tensor)
    text = json.dumps(config.to_dict(), indent=2, default=str)
    (home / "config.json").write_text(text, encoding="utf-8")  # last, because it says that the model is complete


def _shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    width, inner = config.hidden_size, config.intermediate_size
    narrow = width // config.num_attention_heads * config.num_key_value_heads
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config.vocab_size, width)}
    for layer in range(config.num_hidden_layers):
        block = f"model.layers.{layer}"
        shapes |= {
            f"{block}.input_layernorm.weight": (width,),
            f"{block}.self_attn.q_proj.weight": (width, width),
            f"{block}.self_attn.k_proj.weight": (narrow, width),
            f"{block}.self_attn.v_proj.weight": (narrow, width),
            f"{block}.self_attn.o_proj.weight": (width, width),
            f"{block}.post_attention_layernorm.weight": (width,),
            f"{block}.mlp.gate_proj.weight": (inner, width),
            f"{block}.mlp.up_proj.weight": (inner, width),
            f"{block}.mlp.down_proj.weight": (width, inner),
        }
    return shapes | {"model.norm.weight": (width,), "lm_head.weight": (config.vocab_size, width)}
