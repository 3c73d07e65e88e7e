"""Sizes: counted from headers, as the exported file has them."""

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file

from evomerge.merging import Library, Provenance, export_model, size_of
from evomerge.recipe import Recipe
from evomerge.recipe.recipe import ModelRef
from evomerge.recipe.route import Segment
from tests.merging.conftest import save_model

RULE = {"use": "task_arithmetic", "weights": [0.3, 0.9]}


def test_a_merge_is_as_large_as_its_donor(recipe_of: Callable[..., Recipe]) -> None:
    size = size_of(recipe_of(RULE), Library())
    assert (size.layers, size.layer_share, size.parameter_share) == (2, 1.0, 1.0)


def test_models_of_several_depths_are_compared_with_one(recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    save_model(tmp_path / "deep", 7, num_hidden_layers=3)
    search = recipe_of(RULE)
    models = search.models | {"deep": ModelRef(path=str(tmp_path / "deep"))}
    alone = search.model_copy(update={"models": models, "blends": {}, "route": (Segment.of("deep", None),)})
    assert [size_of(alone, Library()).layer_share, size_of(alone, Library(), search).layer_share] == [1.0, 1.5]
    mixed = search.model_copy(update={"models": models, "route": (Segment.of("mix", None), Segment.of("deep", (2, 2)))})
    size = size_of(mixed, Library())
    written = load_file(export_model(mixed, Library(), tmp_path / "out", Provenance("A test.")) / "model.safetensors")
    assert (size.layers, size.parameters) == (3, sum(tensor.numel() for tensor in written.values()))


def test_it_counts_what_is_exported(recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = recipe_of(RULE, route=[{"from": "mix"}, {"from": "math", "layers": [1, 1]}])
    size = size_of(recipe, Library())
    written = load_file(export_model(recipe, Library(), tmp_path / "out", Provenance("A test.")) / "model.safetensors")
    assert size.parameters == sum(tensor.numel() for tensor in written.values())
    assert (size.layers, size.donor_layers, size.layer_share) == (3, 2, 1.5)
