"""Models small enough to see through: the tensors of a Llama with grouped heads, and what can be done to them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evomerge.checkpoints import Checkpoint

LAYERS, WIDTH, HIDDEN, QUERIES, VALUES, SIZE = 3, 32, 48, 4, 2, 8
CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": LAYERS,
    "num_attention_heads": QUERIES,
    "num_key_value_heads": VALUES,
}
Tensors = dict[str, torch.Tensor]
Save = Callable[..., dict[str, Checkpoint]]


def random_model(seed: int) -> Tensors:
    """A model with weights of its own."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (20, WIDTH), "model.norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}."
        shapes |= {
            f"{stem}input_layernorm.weight": (WIDTH,),
            f"{stem}self_attn.q_proj.weight": (QUERIES * SIZE, WIDTH),
            f"{stem}self_attn.k_proj.weight": (VALUES * SIZE, WIDTH),
            f"{stem}self_attn.v_proj.weight": (VALUES * SIZE, WIDTH),
            f"{stem}self_attn.o_proj.weight": (WIDTH, QUERIES * SIZE),
            f"{stem}mlp.gate_proj.weight": (HIDDEN, WIDTH),
            f"{stem}mlp.up_proj.weight": (HIDDEN, WIDTH),
            f"{stem}mlp.down_proj.weight": (WIDTH, HIDDEN),
        }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def tuned(model: Tensors, seed: int, by: float = 0.05) -> Tensors:
    """A fine-tune: every entry moved a little."""
    generator = torch.Generator().manual_seed(seed)
    return {name: tensor + by * torch.randn(tensor.shape, generator=generator) for name, tensor in model.items()}


def scrambled(model: Tensors, layer: int, seed: int = 7) -> Tensors:
    """V → R·V and O → O·R⁻¹ in every head of one layer."""
    generator = torch.Generator().manual_seed(seed)
    value, output = (f"model.layers.{layer}.self_attn.{end}.weight" for end in ("v_proj", "o_proj"))
    changed = {name: tensor.clone() for name, tensor in model.items()}
    for head in range(VALUES):
        gauge = torch.randn((SIZE, SIZE), generator=generator) + 2 * torch.eye(SIZE)
        rows = slice(head * SIZE, (head + 1) * SIZE)
        changed[value][rows] = gauge @ model[value][rows]
        for query in range(head * QUERIES // VALUES, (head + 1) * QUERIES // VALUES):
            columns = slice(query * SIZE, (query + 1) * SIZE)
            changed[output][:, columns] = model[output][:, columns] @ torch.linalg.inv(gauge)
    return changed


def shuffled(model: Tensors, layer: int, seed: int = 7) -> Tensors:
    """The hidden units of one layer's MLP in another order."""
    order = torch.randperm(HIDDEN, generator=torch.Generator().manual_seed(seed))
    stem = f"model.layers.{layer}.mlp."
    return model | {
        f"{stem}gate_proj.weight": model[f"{stem}gate_proj.weight"][order],
        f"{stem}up_proj.weight": model[f"{stem}up_proj.weight"][order],
        f"{stem}down_proj.weight": model[f"{stem}down_proj.weight"][:, order].contiguous(),
    }


@pytest.fixture
def toy() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(model=random_model, tuned=tuned, scrambled=scrambled, shuffled=shuffled)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes models and opens them: `save(base=…, math=…)`; the first is the base."""

    def write(config: Mapping[str, Any] = CONFIG, **models: Tensors) -> dict[str, Checkpoint]:
        for name, tensors in models.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(json.dumps(config))
            save_file(
                {key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / name / "model.safetensors"
            )
        return {name: Checkpoint(tmp_path / name) for name in models}

    return write
