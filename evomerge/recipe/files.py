"""Recipes as YAML files."""

from __future__ import annotations

from pathlib import Path

from evomerge.documents import dump_yaml, parse, read_yaml, tree_of
from evomerge.recipe.recipe import Recipe


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: With all problems of the file.
    """
    return parse(Recipe, read_yaml(path), str(path))


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML text that `load_recipe` reads back to an equal value."""
    return dump_yaml(tree_of(recipe), default_flow_style=None)
