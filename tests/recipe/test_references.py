"""What a merge must beat."""

from typing import Any

from evomerge.documents import parse
from evomerge.recipe import Recipe
from evomerge.recipe.references import references

MODELS = {name: {"path": name} for name in ("base", "a", "b", "c")}


def test_every_model_alone_and_the_average_of_the_experts() -> None:
    blends = {
        "inner": {"experts": ["c"], "pipe": []},
        "mix": {"origin": "base", "experts": ["a", "inner", "b"], "pipe": []},
    }
    recipe = parse(Recipe, {"models": MODELS, "blends": blends, "dtype": "bfloat16"}, "r")
    found = references(recipe)
    assert list(found) == ["base", "a", "b", "c", "uniform"]
    assert all(reference.dtype == "bfloat16" for reference in found.values())
    assert found["uniform"].canonical.blends["average"].experts == ("a", "b")
    (rule,) = found["uniform"].canonical.blends["average"].rules
    assert rule.pipe[0].weigh == (0.5, 0.5)  # type: ignore[index,union-attr]


def test_one_expert_has_no_average() -> None:
    tree: dict[str, Any] = {"models": MODELS, "blends": {"mix": {"origin": "base", "experts": ["a"], "pipe": []}}}
    assert list(references(parse(Recipe, tree, "r"))) == ["base", "a", "b", "c"]


def test_models_of_several_depths_have_no_average() -> None:
    models = {name: {"path": name, "layers": layers} for name, layers in (("a", 4), ("b", 4), ("deep", 6))}
    route = [{"from": "a"}, {"from": "deep", "layers": [4, 5]}]
    assert list(references(parse(Recipe, {"models": models, "route": route}, "r"))) == ["a", "b", "deep"]
