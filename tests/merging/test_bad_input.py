"""Models that are damaged or do not fit: one clear error each, and nothing is left of the export."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import Checkpoint
from evomerge.errors import CandidateFailed, ConfigError, EvomergeError
from evomerge.merging import Library, Provenance, export_model
from evomerge.recipe import Recipe

MakeRecipe = Callable[..., Recipe]
Change = Callable[[dict[str, torch.Tensor]], None]
RULES = [{"use": "task_arithmetic", "weights": [0.3, 0.9]}, {"use": "ties", "density": 0.4}, {"use": "slerp", "t": 0.2}]
NAME = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def damaged(zoo: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """Copies the zoo with the tensors of its model `ja` changed."""

    def make(change: Change) -> Path:
        copy = tmp_path / "zoo"
        for file in zoo.rglob("*.*"):
            (copy / file.relative_to(zoo)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(zoo)).write_bytes(file.read_bytes())
        stored = load_file(copy / "ja" / "model.safetensors")
        change(stored)
        save_file(stored, copy / "ja" / "model.safetensors", {"format": "pt"})
        return copy

    return make


def refused(recipe: Recipe, folder: Path, kind: type[EvomergeError]) -> str:
    """What an export says; nothing may be left of it."""
    with pytest.raises(kind) as caught:
        export_model(recipe, Library(), folder / "new" / "out", Provenance("A test."), max_shard_bytes=3000)
    assert not (folder / "new").exists()
    assert type(caught.value) is kind
    return str(caught.value).replace(str(folder), "DIR")


def setter(index: int, value: float) -> Change:
    def change(stored: dict[str, torch.Tensor]) -> None:
        stored[NAME].view(-1)[index] = value

    return change


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite(
    damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path, rule: dict[str, object], value: float
) -> None:
    zoo = damaged(setter(17, value))
    assert refused(recipe_of(rule, zoo=zoo), tmp_path, ConfigError) == (
        f"models.ja: DIR/zoo/ja: tensor {NAME} holds NaN or infinite numbers. "
        "Leave the model out, or download it again."
    )


def test_what_has_no_singular_values_is_laid_to_its_model(
    damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path
) -> None:
    zoo = damaged(setter(17, float("nan")))
    assert refused(recipe_of({"use": "star"}, zoo=zoo), tmp_path, ConfigError).startswith("models.ja: DIR/zoo/ja: ")


def test_numbers_that_grow_too_large(recipe_of: MakeRecipe, tmp_path: Path) -> None:
    rule = {"use": "task_arithmetic", "weights": [3e5, 0.5]}
    assert refused(recipe_of(rule, dtype="float16"), tmp_path, ConfigError) == (
        "recipe: tensor lm_head.weight of the result is not finite in float16, though it is in every model. "
        "Use smaller weights, or a dtype with a wider range."
    )


def test_sums_of_large_numbers_are_not_mistaken_for_infinity(recipe_of: MakeRecipe, tmp_path: Path) -> None:
    rule = {"use": "task_arithmetic", "weights": [1e4, 1e4]}
    folder = export_model(recipe_of(rule, dtype="float16"), Library(), tmp_path / "out", Provenance("A test."))
    stored = load_file(folder / "model.safetensors").values()
    assert max(float(tensor.abs().max()) for tensor in stored) > 1e4


def test_a_missing_tensor(damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path) -> None:
    zoo = damaged(lambda stored: stored.__delitem__(NAME))
    assert refused(recipe_of(RULES[0], zoo=zoo), tmp_path, CandidateFailed) == f"model ja has no tensor {NAME}."


def test_another_shape(damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path) -> None:
    zoo = damaged(lambda stored: stored.update({NAME: stored[NAME].T.contiguous()}))
    assert refused(recipe_of(RULES[0], zoo=zoo), tmp_path, CandidateFailed) == (
        f"tensor {NAME} has the shapes [16, 24] and [24, 16] in the models of blend mix."
    )


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_dtype_that_cannot_be_merged(
    damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path, zoo: Path, dtype: torch.dtype
) -> None:
    recipe = recipe_of(RULES[0])
    broken = damaged(lambda stored: stored.update({NAME: stored[NAME].to(dtype)}))
    moved = {name: model.model_copy(update={"path": str(broken / name)}) for name, model in recipe.models.items()}
    message = refused(recipe.model_copy(update={"models": moved}), tmp_path, ConfigError)
    assert message.startswith("DIR/zoo/ja: 1 tensors are stored as F8_E")


def test_a_shard_that_is_cut_off(damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path) -> None:
    zoo = damaged(lambda stored: None)
    recipe = recipe_of(RULES[0], zoo=zoo)
    file = zoo / "ja" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    message = refused(recipe, tmp_path, ConfigError)
    assert message.startswith("DIR/zoo/ja: DIR/zoo/ja/model.safetensors is damaged or incomplete: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret.safetensors", "names the file '../secret.safetensors'. Shards are plain names inside the folder."),
        ("link.safetensors", "names link.safetensors, a link to DIR/secret.safetensors, outside the folder."),
    ],
)
def test_an_index_that_leads_out_of_the_folder(
    damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path, name: str, message: str
) -> None:
    zoo = damaged(lambda stored: None)
    recipe = recipe_of(RULES[0], zoo=zoo)
    (zoo / "ja" / "model.safetensors").rename(tmp_path / "secret.safetensors")
    (zoo / "ja" / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    names = Checkpoint(zoo / "base").names
    index = '{"weight_map": {' + ", ".join(f'"{tensor}": "{name}"' for tensor in names) + "}}"
    (zoo / "ja" / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert message in refused(recipe, tmp_path, ConfigError)


def test_pickles_only(damaged: Callable[[Change], Path], recipe_of: MakeRecipe, tmp_path: Path) -> None:
    zoo = damaged(lambda stored: None)
    recipe = recipe_of(RULES[0], zoo=zoo)
    (zoo / "ja" / "model.safetensors").rename(zoo / "ja" / "pytorch_model.bin")
    assert "holds only .bin weights, which can run code when loaded." in refused(recipe, tmp_path, ConfigError)
