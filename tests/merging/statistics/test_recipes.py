"""Recipes whose stages read statistics: from the passes to the merged model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge, Provenance, ResidentModel, export_model
from evomerge.merging.statistics.measure import calibrate
from evomerge.recipe import Recipe
from evomerge.recipe.calibration import Calibration, StatisticKind
from evomerge.recipe.measures import measured_models
from tests.merging.conftest import MakeRecipe

DOWN = "model.layers.0.mlp.down_proj.weight"
RULES: list[dict[str, Any]] = [
    {"use": "fisher"},
    {"use": "ota", "scope": "model"},
    {"use": "regmean"},
    {"use": "mats", "of": "kfac", "steps": 5},
    {"use": "aim"},
    {"use": "sens", "temperature": 0.1},
    {"use": "obim"},
    {"use": "rcp", "penalty": 0.01},
]


def measured(recipe: Recipe) -> Recipe:
    """The recipe, with all that it reads on disk."""
    needed: dict[str, list[StatisticKind]] = {}
    for name, kind in measured_models(recipe.blends):
        needed.setdefault(name, []).append(kind)
    for name, kinds in needed.items():
        calibrate(Checkpoint(recipe.models[name].path), (recipe.calibration or {})[name], kinds)
    return recipe


@pytest.fixture
def calibration(data: Calibration) -> dict[str, Any]:
    return {name: {"data": data.data, "samples": 3} for name in ("base", "math", "ja")}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["use"])
def test_exported_and_resident_models_agree(
    tmp_path: Path, recipe_of: MakeRecipe, calibration: dict[str, Any], rule: dict[str, Any]
) -> None:
    recipe, library = measured(recipe_of(rule, calibration=calibration)), Library()
    export_model(recipe, library, tmp_path / "out", Provenance("A test."))
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    resident = ResidentModel(recipe, library)
    resident.hold(recipe)
    base = Checkpoint(recipe.models["base"].path)
    for name, place in resident.model.state_dict().items():
        assert torch.equal(place, exported[name])
    assert not torch.equal(exported[DOWN], base.tensor(DOWN))
    assert exported[DOWN].isfinite().all()


def test_experts_are_weighed_by_their_own_statistics(
    zoo: Path, recipe_of: MakeRecipe, calibration: dict[str, Any]
) -> None:
    recipe, library = measured(recipe_of({"use": "fisher", "floor": 0}, calibration=calibration)), Library()
    total, share = torch.zeros(()), torch.zeros(())
    for name in ("math", "ja"):
        reading = library.statistics(recipe.models[name], (recipe.calibration or {})[name], "fisher").reading(DOWN)
        assert reading is not None
        total = total + reading.values * Checkpoint(zoo / name).tensor(DOWN)
        share = share + reading.values
    expected = total / share
    torch.testing.assert_close(Merge(recipe, library).rounded(DOWN), expected)


def test_what_is_missing_stops_the_merge_before_it_begins(recipe_of: MakeRecipe, calibration: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"gram of .*/math was not measured on .* evomerge calibrate statistics"):
        Merge(recipe_of({"use": "regmean"}, calibration=calibration), Library())


def test_other_data_is_another_recipe(recipe_of: MakeRecipe) -> None:
    def digest(rule: dict[str, Any], **change: Any) -> str:
        return recipe_of(rule, calibration={n: {"data": "a.txt", **change} for n in ("base", "math", "ja")}).digest

    known = {"digest": "sha256:a"}
    assert digest({"use": "fisher"}, **known) == digest({"use": "fisher"}, **known | {"data": "b.txt"})
    assert digest({"use": "fisher"}, **known) == digest({"use": "fisher"}, **known | {"seed": 5})
    assert digest({"use": "fisher"}, **known) != digest({"use": "fisher"}, **known | {"labels": "sampled"})
    assert digest({"use": "fisher"}, **known) != digest({"use": "fisher"}, **known | {"samples": 4})
    assert digest({"use": "fisher"}, digest="sha256:a") != digest({"use": "fisher"}, digest="sha256:b")
    assert digest({"use": "linear"}, digest="sha256:a") == digest({"use": "linear"}, digest="sha256:b")
    assert digest({"use": "regmean"}, **known) == digest({"use": "regmean"}, **known | {"labels": "sampled"})
