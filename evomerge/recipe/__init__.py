"""What to merge and how, as an immutable value with an identity."""

from evomerge.recipe.canonical import canonical
from evomerge.recipe.files import dump_recipe, load_recipe
from evomerge.recipe.recipe import Blend, ModelRef, Recipe

__all__ = ["Blend", "ModelRef", "Recipe", "canonical", "dump_recipe", "load_recipe"]
