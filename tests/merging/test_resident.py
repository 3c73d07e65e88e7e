"""The resident model: what is scored is what is exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from evomerge.errors import CandidateFailed
from evomerge.merging import Library, Provenance, ResidentModel, export_model
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]
RULES: list[dict[str, Any]] = [
    {"use": "task_arithmetic", "weights": [0.3, 0.9]},
    {"use": "ties", "density": 0.4},
    {"use": "dare_ties", "density": 0.6},
    {"use": "slerp", "t": 0.2},
]


def parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def exported(recipe: Recipe, folder: Path) -> dict[str, torch.Tensor]:
    """Parameters of the exported model as anyone loads it."""
    export_model(recipe, Library(), folder, Provenance("A test."))
    return parameters(AutoModelForCausalLM.from_pretrained(folder))


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert {name: tensor.dtype for name, tensor in one.items()} == {name: t.dtype for name, t in other.items()}
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("kind", ["zoo", "tied_zoo"])
@pytest.mark.parametrize("dtype", [None, "bfloat16", "float32"])
def test_it_holds_what_is_exported_to_the_bit(
    recipe_of: MakeRecipe, request: pytest.FixtureRequest, tmp_path: Path, kind: str, dtype: str | None
) -> None:
    zoo = request.getfixturevalue(kind)
    recipes = [recipe_of(rule, zoo=zoo, dtype=dtype) for rule in RULES]
    resident = ResidentModel(recipes[0], Library())
    for number, recipe in enumerate(recipes):
        resident.hold(recipe)
        assert_same(parameters(resident.model), exported(recipe, tmp_path / str(number)))


def test_files_of_another_dtype_than_the_config_states(recipe_of: MakeRecipe, zoo: Path, tmp_path: Path) -> None:
    """A bfloat16 file under a float32 config is loaded as float32 numbers that were rounded to bfloat16."""
    mixed = tmp_path / "mixed"
    for name in ("base", "math", "ja", "str"):
        (mixed / name).mkdir(parents=True)
        for file in (zoo / name).iterdir():
            (mixed / name / file.name).write_bytes(file.read_bytes())
        stored = load_file(zoo / name / "model.safetensors")
        halves = {key: t if "norm" in key else t.bfloat16() for key, t in stored.items()}
        save_file(halves, mixed / name / "model.safetensors", {"format": "pt"})
    recipe = recipe_of(RULES[0], zoo=mixed)
    resident = ResidentModel(recipe, Library())
    resident.hold(recipe)
    assert_same(parameters(resident.model), exported(recipe, tmp_path / "out"))


def test_what_it_held_before_leaves_no_trace(recipe_of: MakeRecipe) -> None:
    first, second = (recipe_of(rule) for rule in RULES[:2])
    resident = ResidentModel(second, Library())
    resident.hold(first)
    before = parameters(resident.model)
    resident.hold(second)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in parameters(resident.model).items())
    resident.hold(first)
    assert_same(parameters(resident.model), before)


def test_it_writes_in_place_and_only_when_needed(recipe_of: MakeRecipe) -> None:
    recipe = recipe_of(RULES[0])
    resident = ResidentModel(recipe, Library())
    places = {name: tensor.data_ptr() for name, tensor in resident.model.state_dict().items()}
    resident.hold(recipe)
    assert {name: tensor.data_ptr() for name, tensor in resident.model.state_dict().items()} == places
    norm = resident.model.state_dict()["model.norm.weight"]
    norm.fill_(0)
    resident.hold(recipe)
    assert not norm.any(), "it was held already, and yet it was written again"


def test_it_evaluates_and_does_not_train(recipe_of: MakeRecipe) -> None:
    resident = ResidentModel(recipe_of(RULES[0]), Library())
    assert not resident.model.training
    assert not any(parameter.requires_grad for parameter in resident.model.parameters())


def test_the_tokenizer_is_the_one_asked_for(recipe_of: MakeRecipe, zoo: Path) -> None:
    resident = ResidentModel(recipe_of(RULES[0], tokenizer={"from": "ja"}), Library())
    assert resident.tokenizer.name_or_path == str(zoo / "ja")
    assert resident.tokenizer("w3 w5").input_ids == [3, 5]


def test_after_a_failure_it_holds_nothing(recipe_of: MakeRecipe, tmp_path: Path) -> None:
    good = recipe_of(RULES[0])
    resident = ResidentModel(good, Library())
    resident.hold(good)
    before = parameters(resident.model)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    save_file({"model.norm.weight": torch.ones(3)}, tmp_path / "model.safetensors")
    models = good.models | {"ja": good.models["ja"].model_copy(update={"path": str(tmp_path), "digest": "x"})}
    with pytest.raises(CandidateFailed):
        resident.hold(good.model_copy(update={"models": models}))
    resident.model.state_dict()["model.norm.weight"].fill_(0)
    resident.hold(good)
    assert_same(parameters(resident.model), before)
