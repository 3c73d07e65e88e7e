"""A base and two adapters on it, on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.documents import parse
from evomerge.recipe import Recipe

Tensors = dict[str, torch.Tensor]
Factored = dict[str, tuple[torch.Tensor, torch.Tensor]]
MakeRecipe = Callable[..., Recipe]
UP, Q, DOWN = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"


def factors(checkpoint: Checkpoint, modules: tuple[str, ...], rank: int, seed: int, size: float = 0.1) -> Factored:
    """Random factors for modules of a model."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for module in modules:
        rows, columns = checkpoint.shape(f"{module}.weight")
        b, a = torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)
        made[module] = b * size, a
    return made


@pytest.fixture
def adapters(zoo: Path, save_adapter: Callable[..., Path], tmp_path: Path) -> dict[str, Factored]:
    """Factors of two adapters, saved as `math` and `ja` in the test's folder: ranks 2 and 3, scales 2 and 1."""
    base = Checkpoint(zoo / "base")
    made = {"math": factors(base, (UP, Q), 2, 0), "ja": factors(base, (UP, DOWN), 3, 1)}
    save_adapter(tmp_path / "math", made["math"], base_model_name_or_path="the/base")
    save_adapter(tmp_path / "ja", made["ja"], lora_alpha=3)
    return made


@pytest.fixture
def adapter_recipe(zoo: Path, tmp_path: Path) -> MakeRecipe:
    """Makes a recipe over the base and the adapters of the test's folder."""

    def make(rule: Mapping[str, Any], experts: tuple[str, ...] = ("math", "ja"), **rest: Any) -> Recipe:
        models: dict[str, Any] = {"base": {"path": str(zoo / "base")}}
        models |= {name: {"path": str(tmp_path / name), "adapts": "base"} for name in experts}
        blend = {"origin": "base", "experts": list(experts), "rules": [rule], **rest}
        return parse(Recipe, {"models": models, "blends": {"mix": blend}}, "recipe.yaml")

    return make
