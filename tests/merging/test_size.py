"""Sizes: counted from headers, as the exported file has them."""

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file

from evomerge.merging import Library, Provenance, export_model, size_of
from evomerge.recipe import Recipe

RULE = {"use": "task_arithmetic", "weights": [0.3, 0.9]}


def test_a_merge_is_as_large_as_its_donor(recipe_of: Callable[..., Recipe]) -> None:
    size = size_of(recipe_of(RULE), Library())
    assert (size.layers, size.layer_share, size.parameter_share) == (2, 1.0, 1.0)


def test_it_counts_what_is_exported(recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = recipe_of(RULE, route=[{"from": "mix"}, {"from": "math", "layers": [1, 1]}])
    size = size_of(recipe, Library())
    written = load_file(export_model(recipe, Library(), tmp_path / "out", Provenance("A test.")) / "model.safetensors")
    assert size.parameters == sum(tensor.numel() for tensor in written.values())
    assert (size.layers, size.donor_layers, size.layer_share) == (3, 2, 1.5)
