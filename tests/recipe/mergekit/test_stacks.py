"""mergekit's stacks of layers as routes, and routes as stacks."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from evomerge.documents import Tree, parse, tree_of
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.mergekit import Layout, Reading, write_mergekit

Read = Callable[..., Reading]
LayoutOf = Callable[..., Layout]

FRANKENMERGE = """
merge_method: passthrough
dtype: bfloat16
slices:
  - sources: [{model: one, layer_range: [0, 3]}]
  - sources: [{model: two, layer_range: [1, 4]}]
"""
INTERLEAVED = """
merge_method: slerp
base_model: one
parameters: {t: 0.3}
slices:
  - sources: [{model: one, layer_range: [0, 3]}, {model: two, layer_range: [0, 3]}]
  - sources: [{model: one, layer_range: [2, 4]}, {model: two, layer_range: [2, 4]}]
    parameters: {t: [0.5, 0.7]}
"""
QUIET = """
merge_method: passthrough
slices:
  - sources: [{model: one, layer_range: [0, 4]}]
  - sources:
      - model: one
        layer_range: [3, 4]
        parameters: {scale: [{filter: o_proj, value: 0.0}, {filter: down_proj, value: 0.0}, {value: 1.0}]}
"""


def route_of(recipe: Recipe) -> list[Tree]:
    return [*map(tree_of, recipe.canonical.route or ())]


def test_a_frankenmerge_is_a_route_over_models(read: Read) -> None:
    recipe = read(FRANKENMERGE).recipe
    assert route_of(recipe) == [{"from": "one", "layers": [0, 2]}, {"from": "two", "layers": [1, 3]}]
    assert recipe.canonical.blends == {}
    assert recipe.end_sources == {"embeddings": "part 1", "norm": "part 2", "head": "part 2"}
    assert recipe.canonical.end_sources == {"embeddings": "one", "norm": "two", "head": "two"}


def test_slices_that_merge_one_layer_in_two_ways_are_blends_of_their_own(read: Read) -> None:
    recipe = read(INTERLEAVED).recipe
    assert route_of(recipe) == [{"from": "part 1", "layers": [0, 2]}, {"from": "part 2", "layers": [2, 3]}]
    assert list(recipe.canonical.blends) == ["part 1", "part 2"]


def test_scales_of_single_projections_stay_in_their_slice(read: Read) -> None:
    recipe = read(QUIET).recipe
    assert route_of(recipe) == [{"from": "one", "layers": [0, 3]}, {"from": "part 2", "layers": [3, 3]}]


@pytest.mark.parametrize("text", [FRANKENMERGE, INTERLEAVED, QUIET])
def test_what_is_written_is_read_to_the_same_recipe(text: str, read: Read, layout_of: LayoutOf) -> None:
    recipe = read(text).recipe
    again = write_mergekit(recipe, layout_of(4), "r.yaml").replace("models/", "")
    assert read(again).recipe.digest == recipe.digest


DEEPER = """
merge_method: passthrough
slices:
  - sources: [{model: one, layer_range: [0, 4]}]
  - sources: [{model: two, layer_range: [4, 6]}]
"""


def test_slices_of_models_of_several_depths(read: Read, layout_of: LayoutOf) -> None:
    recipe = read(DEEPER, two=layout_of(6)).recipe
    assert route_of(recipe) == [{"from": "one", "layers": [0, 3]}, {"from": "two", "layers": [4, 5]}]
    again = write_mergekit(recipe, layout_of(6), "r.yaml").replace("models/", "")
    assert read(again, two=layout_of(6)).recipe.digest == recipe.digest


def test_a_head_that_is_the_embeddings_comes_from_the_first_slice(read: Read, layout_of: LayoutOf) -> None:
    spots = tuple(spot for spot in layout_of(4).spots if spot.role != "head")
    tied = Layout(4, spots)
    recipe = read(FRANKENMERGE, one=tied, two=tied).recipe
    assert recipe.canonical.end_sources == {"embeddings": "one", "norm": "two", "head": "one"}
    again = write_mergekit(recipe, tied, "r.yaml").replace("models/", "")
    assert read(again, one=tied, two=tied).recipe.digest == recipe.digest


def recipe_of(**rest: Any) -> Recipe:
    models = {name: {"path": name} for name in ("one", "two")}
    return parse(Recipe, {"models": models, **rest}, "r.yaml")


def test_a_route_over_models_is_a_passthrough(layout_of: LayoutOf) -> None:
    recipe = recipe_of(route=[{"from": "one", "layers": [0, 2]}, {"from": "one", "layers": [1, 1]}])
    assert yaml.safe_load(write_mergekit(recipe, layout_of(4), "r.yaml")) == {
        "merge_method": "passthrough",
        "slices": [
            {"sources": [{"model": "one", "layer_range": [0, 3]}]},
            {"sources": [{"model": "one", "layer_range": [1, 2]}]},
        ],
    }


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            {"route": [{"from": "one", "layers": [0, 2], "write": 0.5}]},
            "r.yaml: route[0].write: mergekit knows no factor on what a layer writes. Export the recipe instead.",
        ),
        (
            {"route": [{"from": "one", "layers": [0, 2]}, {"from": "two", "layers": [3, 3]}]},
            "r.yaml: ends: mergekit takes embeddings from the first slice, and norm and head from the last. "
            "Take them from there.",
        ),
    ],
)
def test_what_mergekit_has_no_word_for(rest: dict[str, Tree], message: str, layout_of: LayoutOf) -> None:
    with pytest.raises(ConfigError) as caught:
        write_mergekit(recipe_of(**rest), layout_of(4), "r.yaml")
    assert str(caught.value) == message
