"""Recipes as YAML files."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe, dump_recipe, load_recipe
from evomerge.testing.stages import random_recipe


@settings(max_examples=25)
@given(rng=st.randoms(use_true_random=False))
def test_a_recipe_is_read_back_as_it_was(rng: random.Random, tmp_path_factory: pytest.TempPathFactory) -> None:
    recipe = random_recipe(rng)
    for spelling in (recipe, recipe.canonical):
        path = tmp_path_factory.getbasetemp() / "recipe.yaml"
        path.write_text(dump_recipe(spelling), encoding="utf-8")
        assert load_recipe(path) == spelling
        assert load_recipe(path).digest == recipe.digest


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@settings(max_examples=50)
@given(name=TEXTS, path=TEXTS)
def test_any_name_and_path_can_be_written(name: str, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tree = {"models": {name: {"path": path}}, "blends": {f"{name}!": {"experts": [name], "pipe": []}}}
    recipe = parse(Recipe, tree, "tree")
    file = tmp_path_factory.getbasetemp() / "named.yaml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(file) == recipe


def test_problems_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("models: {a: {path: x}}\nblends: {m: {experts: [b], pipe: []}}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert str(caught.value) == (
        f'{path}: blends.m.experts[0]: "b" is neither a model nor an earlier blend. Allowed: a.'
    )
