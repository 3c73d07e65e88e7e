"""Routes over models of several depths: every layer is its own model's, wherever it stands."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from transformers.modeling_utils import PreTrainedModel

from evomerge.documents import parse
from evomerge.merging import Library, Provenance, ResidentModel, export_model
from evomerge.recipe import Recipe
from evomerge.recipe.references import references
from tests.merging.test_routes import MIX, MODELS, MORE, family, greedy, logits


def deeper(make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """A model of six layers, of the kinds that the four of another have."""
    model = make()
    config = model.config
    config.num_hidden_layers = 6
    for key in ("layer_types", "no_rope_layers"):
        if isinstance(entries := getattr(config, key, None), list):
            setattr(config, key, [*reversed(entries), *entries][:6])
    return type(model)(config)  # type: ignore[no-any-return]


DEEP_MIX = {"experts": ["deep/a", "deep/b"], "pipe": [{"weigh": [0.25, 0.75]}, {"reduce": "sum"}]}
DEEP_ROUTES: list[list[dict[str, Any]]] = [
    [{"from": "mix", "layers": [0, 2]}, {"from": "deep/a", "layers": [1, 5]}, {"from": "a", "layers": [3, 3]}],
    [{"from": "deep mix"}, {"from": "mix", "layers": [3, 3]}, {"from": "deep mix", "layers": [5, 5], "write": 0.5}],
]


def deep_recipe(folder: Path, route: Sequence[dict[str, Any]], embeddings: str) -> Recipe:
    names = ("base", "a", "b", "deep/base", "deep/a", "deep/b")
    tree = {
        "models": {name: str(folder / name) for name in names},
        "blends": {"mix": MIX, "deep mix": DEEP_MIX},
        "route": route,
        "ends": {"embeddings": embeddings, "norm": embeddings, "head": embeddings},
    }
    return parse(Recipe, tree, "recipe")


def check_depths(make: Callable[[], PreTrainedModel], folder: Path, embeddings: str) -> None:
    """Layers of models of four and of six layers in one resident model and in exports."""
    family(make, folder)
    family(lambda: deeper(make), folder / "deep")
    recipes = [deep_recipe(folder, route, embeddings) for route in DEEP_ROUTES]
    resident = ResidentModel(recipes[0], Library())
    config, deep = (hf.AutoConfig.from_pretrained(folder / name).to_dict() for name in ("a", "deep/a"))
    kinds = next((key for key in ("layer_types", "no_rope_layers") if isinstance(config.get(key), list)), None)
    for number, recipe in enumerate(recipes):
        resident.hold(recipe)
        exported = export_model(recipe, Library(), folder / f"out{number}", Provenance("A test."))
        loaded = hf.AutoModelForCausalLM.from_pretrained(exported)
        assert torch.allclose(logits(resident.model), logits(loaded), rtol=0.0, atol=1e-4)
        assert greedy(resident.model) == greedy(loaded)
        if kinds:
            sources = [
                [*config[kinds][:3], *deep[kinds][1:], config[kinds][3]],
                [*deep[kinds], config[kinds][3], deep[kinds][5]],
            ]
            assert getattr(loaded.config, kinds) == sources[number]
    for name, alone in references(recipes[0]).items():  # asked in the same resident model
        resident.hold(alone)
        if name in ("a", "deep/a"):
            itself = hf.AutoModelForCausalLM.from_pretrained(folder / name)
            assert torch.allclose(logits(resident.model), logits(itself), rtol=0.0, atol=1e-4)
    own, deeps = (load_file(folder / name / "model.safetensors") for name in ("a", "deep/a"))
    written = load_file(folder / "out0" / "model.safetensors")
    for name, tensor in written.items():
        place = next((int(part) for part in name.split(".") if part.isdigit()), 0)
        is_deep = 3 <= place < 8
        source = name.replace(f".{place}.", f".{place - 2 if is_deep else 3}.", 1)
        assert place < 3 or torch.equal(tensor, (deeps if is_deep else own)[source])


@pytest.mark.parametrize("embeddings", ["mix", "deep/b"])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_layers_of_models_of_several_depths(name: str, embeddings: str, tmp_path: Path) -> None:
    check_depths(MODELS[name], tmp_path, embeddings)


@pytest.mark.slow
@pytest.mark.parametrize("embeddings", ["mix", "deep/b"])
@pytest.mark.parametrize("name", sorted({*MODELS, *MORE} - {"llama", "gemma3"}))
def test_layers_of_models_of_several_depths_in_further_families(name: str, embeddings: str, tmp_path: Path) -> None:
    check_depths((MODELS | MORE)[name], tmp_path, embeddings)
