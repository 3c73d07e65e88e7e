"""Tiny models of each family, and scrambles of their units by plain code of the tests' own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

Tensors = dict[str, torch.Tensor]
MakeModel = Callable[..., Path]
Change = Callable[[Tensors], Tensors]

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Saves a random model, deterministic for its seed: `make_model("name", "llama", seed=1, head_dim=8)`."""

    def make(name: str, family: str = "llama", seed: int = 0, dtype: torch.dtype = torch.float32, **more: Any) -> Path:
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES | more))
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        model.tie_weights()
        model.to(dtype).save_pretrained(tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path, str, Change], Path]:
    """Saves a changed copy of a model: `copy_of(model, "name", lambda tensors: …)`."""

    def copy(source: Path, name: str, change: Change) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_bytes((source / "config.json").read_bytes())
        tensors = change(load_file(source / "model.safetensors"))
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "model.safetensors")
        return folder

    return copy


@pytest.fixture
def scramble() -> Callable[..., Change]:
    """Makes a function-preserving change: `scramble(seed)`, without rotations `scramble(seed, rotate=False)`.

    Written for four query heads on two key/value heads of four channels, of which a rotary embedding turns channel 0
    with 2 and 1 with 3.
    """

    def make(seed: int, rotate: bool = True, turn: bool = True) -> Change:
        def change(tensors: Tensors) -> Tensors:
            generator = torch.Generator().manual_seed(seed)
            for layer in range(2):
                _scramble_layer(tensors, f"model.layers.{layer}.", generator, rotate, turn and rotate)
            return tensors

        return change

    return make


def _scramble_layer(tensors: Tensors, prefix: str, generator: torch.Generator, rotate: bool, turn: bool) -> None:
    parts = {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
    if "self_attn.qkv_proj.weight" in parts:
        _scramble_fused(parts, generator, rotate, turn)
    else:
        units = torch.randperm(24, generator=generator)
        heads = _new_heads(generator, rotate, turn)
        for name in [name for name in parts if "mlp" in name or "proj" in name]:
            module = name.split(".")[1]
            if module == "down_proj" and name.endswith("weight"):
                parts[name] = parts[name][:, units]
            elif module in ("gate_proj", "up_proj"):
                parts[name] = parts[name][units]
            elif module in heads:
                parts[name] = heads[module](parts[name])
    tensors.update({prefix + name: tensor for name, tensor in parts.items()})


def _scramble_fused(parts: Tensors, generator: torch.Generator, rotate: bool, turn: bool) -> None:
    units = torch.randperm(24, generator=generator)
    gate, up = parts["mlp.gate_up_proj.weight"].split(24)
    parts["mlp.gate_up_proj.weight"] = torch.cat([gate[units], up[units]])
    parts["mlp.down_proj.weight"] = parts["mlp.down_proj.weight"][:, units]
    heads = _new_heads(generator, rotate, turn)
    query, key, value = parts["self_attn.qkv_proj.weight"].split([16, 8, 8])
    pieces = [heads["q_proj"](query), heads["k_proj"](key), heads["v_proj"](value)]
    parts["self_attn.qkv_proj.weight"] = torch.cat(pieces)
    parts["self_attn.o_proj.weight"] = heads["o_proj"](parts["self_attn.o_proj.weight"])


def _new_heads(
    generator: torch.Generator, rotate: bool, turn: bool
) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """What happens to the rows (for outputs: the columns) of each projection."""
    groups = torch.randperm(2, generator=generator).tolist()
    queries = [2 * group + int(one) for group in groups for one in torch.randperm(2, generator=generator)]
    rotations, turns = [torch.eye(4)] * 2, [torch.eye(4)] * 2
    if rotate:
        rotations = [torch.linalg.qr(torch.randn(4, 4, generator=generator))[0] for _ in range(2)]
    if turn:
        turns = [_rotary_turn(torch.rand(2, generator=generator) * 5 + 0.6) for _ in range(2)]

    def rows(order: list[int], matrices: list[torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        share = len(order) // len(matrices)

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            pieces = [tensor[4 * head : 4 * head + 4] for head in order]
            return torch.cat([matrices[place // share] @ piece.float() for place, piece in enumerate(pieces)])

        return moved

    return {
        "q_proj": rows(queries, turns),
        "k_proj": rows(groups, turns),
        "v_proj": rows(groups, rotations),
        "o_proj": lambda tensor: rows(queries, rotations)(tensor.T).T,
    }


def _rotary_turn(angles: torch.Tensor) -> torch.Tensor:
    """Channels 0 and 2 turned by the first angle, 1 and 3 by the second."""
    turn = torch.zeros(4, 4)
    for pair, angle in enumerate(angles):
        turn[pair, pair] = turn[pair + 2, pair + 2] = angle.cos()
        turn[pair, pair + 2], turn[pair + 2, pair] = -angle.sin(), angle.sin()
    return turn
