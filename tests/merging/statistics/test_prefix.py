"""RegMean++ (arXiv:2508.03121): layer by layer, on what experts' layers read behind merged ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge, Provenance, ResidentModel, export_model
from evomerge.recipe.calibration import Calibration
from tests.merging.conftest import MakeRecipe
from tests.merging.statistics.conftest import TEXTS

OTHER = ["w7 w7 w8 w9 w10", "w5 w11 w4 w3"]
SHRINK = 0.8


@pytest.fixture
def calibration(tmp_path: Path, data: Calibration) -> dict[str, Any]:
    """Each expert has data of its own."""
    (tmp_path / "other.txt").write_text("\n".join(OTHER))
    return {"math": {"data": data.data}, "ja": {"data": str(tmp_path / "other.txt")}}


def plainly(zoo: Path) -> dict[str, torch.Tensor]:
    """The method in the words of its paper: whole forward passes of whole models, one layer after the other."""
    tokenizer = AutoTokenizer.from_pretrained(zoo / "math")
    model = AutoModelForCausalLM.from_pretrained(zoo / "math")
    experts = [{n: Checkpoint(zoo / e).tensor(n).double() for n in Checkpoint(zoo / e).names} for e in ("math", "ja")]
    merged = {name: (experts[0][name] + experts[1][name]) / 2 for name in experts[0]}
    for layer in (0, 1):
        maps = [name for name in merged if f"layers.{layer}." in name and merged[name].dim() == 2]
        grams: dict[str, list[torch.Tensor]] = {name: [] for name in maps}
        for expert, texts in zip(experts, (TEXTS, OTHER), strict=True):
            own = {name: tensor for name, tensor in expert.items() if f"layers.{layer}." in name}
            model.load_state_dict(merged | own)
            read: dict[str, list[torch.Tensor]] = {name: [] for name in maps}
            hooks = [
                model.get_submodule(name.removesuffix(".weight")).register_forward_pre_hook(
                    lambda _, given, name=name, read=read: read[name].append(given[0][0].double())
                )
                for name in maps
            ]
            with torch.no_grad():
                for text in texts:
                    model(tokenizer(text, return_tensors="pt")["input_ids"])
            for hook in hooks:
                hook.remove()
            for name in maps:
                rows = torch.cat(read[name])
                gram = rows.T @ rows / len(rows)
                grams[name].append(SHRINK * gram + (1 - SHRINK) * torch.diag(torch.diag(gram)))
        for name in maps:
            one, other = grams[name]
            merged[name] = (experts[0][name] @ one + experts[1][name] @ other) @ torch.linalg.inv(one + other)
    return merged


def test_layers_are_merged_one_after_the_other(zoo: Path, recipe_of: MakeRecipe, calibration: dict[str, Any]) -> None:
    recipe = recipe_of({"use": "regmean++", "shrink": SHRINK, "ridge": 0}, calibration=calibration)
    merge, expected = Merge(recipe, Library()), plainly(zoo)
    for name in reversed(merge.names):  # whatever is asked for first
        torch.testing.assert_close(merge.rounded(name), expected[name].float(), rtol=1e-3, atol=1e-4)


def test_it_is_not_regmean(zoo: Path, recipe_of: MakeRecipe, calibration: dict[str, Any]) -> None:
    recipe = recipe_of({"use": "regmean++"}, calibration=calibration)
    other = recipe_of({"use": "regmean"}, calibration=calibration)
    assert recipe.digest != other.digest


def test_exported_and_resident_models_agree_from_candidate_to_candidate(
    tmp_path: Path, recipe_of: MakeRecipe, calibration: dict[str, Any]
) -> None:
    first, second = (
        recipe_of({"use": "regmean++", "weights": weights}, calibration=calibration) for weights in ([1, 2], [3, 1])
    )
    library = Library()
    resident = ResidentModel(first, library)
    for recipe in (first, second, first):
        resident.hold(recipe)
    export_model(first, Library(), tmp_path / "out", Provenance("A test."))
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(place, exported[name]) for name, place in resident.model.state_dict().items())


def test_other_data_than_the_recipe_names_is_refused(recipe_of: MakeRecipe, calibration: dict[str, Any]) -> None:
    calibration["ja"]["digest"] = "sha256:other"
    with pytest.raises(ConfigError, match="It is other data"):
        Merge(recipe_of({"use": "regmean++"}, calibration=calibration), Library())
