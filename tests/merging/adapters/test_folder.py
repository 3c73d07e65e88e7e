"""Merged adapters on disk: read back, they are the same change."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints.adapter import Adapter
from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.algebra import concatenated, truncated
from evomerge.merging.adapters.folder import write_adapter

SaveAdapter = Callable[..., Path]
UP, Q = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"


def factors(rows: int, columns: int, rank: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)


@pytest.fixture
def adapters(save_adapter: SaveAdapter, tmp_path: Path) -> list[Adapter]:
    about = {"base_model_name_or_path": "some/base", "target_modules": ["up_proj", "q_proj"]}
    one = save_adapter(tmp_path / "a", {UP: factors(6, 5, 2, 0), Q: factors(5, 5, 2, 1)}, **about)
    other = save_adapter(tmp_path / "b", {UP: factors(6, 5, 3, 2)}, use_rslora=True)
    return [Adapter(one), Adapter(other)]


@pytest.mark.parametrize("rank", [4, 100])
def test_a_round_trip(adapters: list[Adapter], tmp_path: Path, rank: int) -> None:
    up = truncated(concatenated([adapter.factors(f"{UP}.weight") for adapter in adapters], [0.3, -0.7]), rank)
    q = truncated(concatenated([adapters[0].factors(f"{Q}.weight")], [0.3]), rank)
    (tmp_path / "out").mkdir()
    changes = {f"{UP}.weight": up, f"{Q}.weight": q}
    write_adapter(tmp_path / "out", changes, {}, adapters, adapters[0].targets, torch.float32)
    back = Adapter(tmp_path / "out")
    assert [back.config.rank_of(UP), back.config.rank_of(Q)] == [min(rank, 5), 2]
    for name, change in changes.items():
        assert torch.equal(back.factors(name).dense(), change.dense())
    assert back.config.tree["base_model_name_or_path"] == "some/base"
    assert back.config.tree["target_modules"] == ["up_proj", "q_proj"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


def test_fewer_modules_are_named_one_by_one(adapters: list[Adapter], tmp_path: Path) -> None:
    change = concatenated([adapters[1].factors(f"{UP}.weight")], [1.0])
    write_adapter(tmp_path, {f"{UP}.weight": change}, {}, adapters[:1], adapters[1].targets, torch.bfloat16)
    back = Adapter(tmp_path)
    assert back.config.tree["target_modules"] == [UP]
    assert back.factors(f"{UP}.weight").b_OR.dtype == torch.bfloat16


def test_embeddings_and_transposed_weights(save_adapter: SaveAdapter, tmp_path: Path) -> None:
    b, a = factors(5, 32, 2, 0)
    name = "base_model.model.transformer.wte.lora_embedding_"
    modules = {"transformer.h.0.attn.c_attn": factors(15, 5, 2, 1)}
    folder = save_adapter(tmp_path / "a", modules, {f"{name}A": a, f"{name}B": b}, fan_in_fan_out=True)
    adapter = Adapter(folder)
    changes = {name: concatenated([adapter.factors(name)], [0.5]) for name in adapter.targets}
    (tmp_path / "out").mkdir()
    write_adapter(tmp_path / "out", changes, {}, [adapter], adapter.targets, torch.float32)
    back = Adapter(tmp_path / "out")
    for key in adapter.targets:
        assert back.shape(key) == adapter.shape(key)
        torch.testing.assert_close(back.factors(key).dense(), 0.5 * adapter.factors(key).dense())


def test_factors_say_their_shape() -> None:
    assert Factors(torch.ones(6, 2), torch.ones(2, 5)).shape == (6, 5)
    assert Factors(torch.ones(6, 2), torch.ones(2, 5), is_transposed=True).shape == (5, 6)


def test_the_widest_biases_are_named(save_adapter: SaveAdapter, tmp_path: Path) -> None:
    kinds = ("lora_only", "all", "none")
    many = [Adapter(save_adapter(tmp_path / kind, {UP: factors(6, 5, 2, 0)}, bias=kind)) for kind in kinds]
    change = concatenated([many[0].factors(f"{UP}.weight")], [1.0])
    (tmp_path / "out").mkdir()
    write_adapter(tmp_path / "out", {f"{UP}.weight": change}, {}, many, many[0].targets, torch.float32)
    assert Adapter(tmp_path / "out").config.tree["bias"] == "all"
