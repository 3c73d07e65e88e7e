"""Which numbers of a recipe are refined, and which recipes are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.recipe import ModelRef
from evomerge.refinement import coefficients_of
from evomerge.spaces import SpaceFile, bind
from evomerge.spaces.starts import NotInSpace

MakeRecipe = Callable[..., Recipe]
SUM = {"reduce": "sum"}
GENE = {"float": [0.0, 1.5]}


def pipe(*stages: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"pipe": list(stages)}]


def test_every_weight_of_a_file_is_free(recipe_of: MakeRecipe) -> None:
    rules = [{"where": {"layers": [0, 0]}, "pipe": [{"weigh": [0.3, 0.8]}, SUM]}, {"use": "linear"}]
    found = coefficients_of(recipe_of(rules), "recipe")
    assert found.start_RE.tolist() == [[0.3, 0.8], [1.0, 1.0]]
    assert found.free.all()
    assert found.is_mean_R.tolist() == [False, True]
    assert found.recipe.digest == recipe_of(rules).digest


def test_a_recipe_takes_other_weights_with_six_digits(recipe_of: MakeRecipe) -> None:
    found = coefficients_of(recipe_of(pipe=[SUM, {"post": "scale", "by": 0.5}]), "recipe")
    changed = found.with_weights(np.array([[0.12345678, 2.0]]))
    wanted = recipe_of(pipe=[{"weigh": [0.123457, 2.0]}, SUM, {"post": "scale", "by": 0.5}])
    assert changed == wanted


REFUSED = [
    ([{"weigh": [1, 1]}, {"reduce": "sphere", "t": 0.3}], "reduce: sphere is no weighted sum"),
    ([{"vote": "sign"}, {"weigh": [1, 2]}, SUM], "vote: sign elects anew with every weight"),
    ([{"vote": "sign", "tally": "plain"}, {"weigh": [1, 2]}, {"reduce": "mean"}], "reduce: mean behind a vote divides"),
    ([{"weigh": [1, 2]}, SUM, {"post": "norm_match"}], "post: norm_match depends on what was merged"),
]


@pytest.mark.parametrize(("stages", "message"), REFUSED)
def test_what_is_not_linear_in_the_weights_is_refused(
    recipe_of: MakeRecipe, stages: list[dict[str, Any]], message: str
) -> None:
    rules = [{"where": {"layers": [0, 0]}, "use": "linear"}, {"pipe": stages}]
    with pytest.raises(ConfigError, match=rf"recipe: blends\.mix\.rules\[1\]: {message}.*no gradient leads through it"):
        coefficients_of(recipe_of(rules), "recipe")


def test_weights_that_a_stage_finds_are_refused(recipe_of: MakeRecipe) -> None:
    with pytest.raises(ConfigError, match=r"weigh: \w+ finds the weights itself"):
        coefficients_of(recipe_of(pipe({"weigh": "norm"}, SUM)), "recipe")


def test_a_route_is_refused(recipe_of: MakeRecipe) -> None:
    routed = recipe_of(pipe(SUM)).model_copy(update={"route": ()})
    with pytest.raises(ConfigError, match="recipe: has a route"):
        coefficients_of(routed, "recipe")


def space(family: Path, *stages: dict[str, Any]) -> Any:
    models = {name: str(family / name) for name in ("base", "math", "ja")}
    mix = {"origin": "base", "experts": ["math", "ja"], "pipe": list(stages)}
    document = {"evomerge": "space/1", "models": models, "groups": {"layers": 2}, "blends": {"mix": mix}}
    tree = parse(SpaceFile, document, "space")
    return bind(tree, {name: ModelRef(path=path) for name, path in models.items()}, 2, "space")


def test_of_a_space_only_genes_move_within_their_ends(family: Path) -> None:
    bound = space(family, {"weigh": [GENE, 0.4]}, SUM)
    recipe = bound.decode((0.1, 0.2, 0.3))
    found = coefficients_of(recipe, "run", bound.template)
    assert found.free.tolist() == [[True, False]] * 3
    changed = found.with_weights(np.full((3, 2), 9.0))
    assert changed == bound.decode((1.5, 1.5, 1.5))


def test_a_space_without_such_genes(family: Path) -> None:
    bound = space(family, {"gate": "top", "density": {"float": [0.1, 1.0]}}, {"weigh": [1, 1]}, SUM)
    recipe = bound.decode((0.5, 0.5, 0.5))
    with pytest.raises(ConfigError, match=r"run: blends\.mix: no weight of an expert varies here"):
        coefficients_of(recipe, "run", bound.template)


def test_a_refined_recipe_is_a_genome_of_its_space(family: Path) -> None:
    bound = space(family, {"weigh": [GENE, GENE]}, SUM, {"post": "scale", "by": {"float": [0.5, 2.0], "neutral": 1.0}})
    recipe = bound.decode((0.1, 0.2, 1.0, 0.3, 0.4, 0.7, 0.5, 0.6, 1.0))
    weights_RE = np.array([[0.5, 1.2345678], [0.1, 0.2], [7.0, -1.0]])
    refined = coefficients_of(recipe, "run", bound.template).with_weights(weights_RE)
    genome = (0.5, 1.23457, 1.0, 0.1, 0.2, 0.7, 1.5, 0.0, 1.0)
    assert bound.encode(refined) == genome
    assert bound.decode(genome).digest == refined.digest


def test_a_recipe_of_another_space_has_no_genome(family: Path) -> None:
    one, other = space(family, {"weigh": [GENE, 0.4]}, SUM), space(family, {"weigh": [GENE, 0.5]}, SUM)
    with pytest.raises(NotInSpace, match="it differs where the space has no genes"):
        other.encode(one.decode((0.1, 0.2, 0.3)))
    wide = space(family, {"weigh": [{"float": [0, 9]}, 0.5]}, SUM)
    with pytest.raises(NotInSpace, match=r"gene mix/layer 0/weigh\.math cannot be 5"):
        other.encode(wide.decode((5.0, 0.2, 0.3)))
