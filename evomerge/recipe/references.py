"""What a merge must beat: each of its models alone, and the plain average of the experts."""

from __future__ import annotations

from evomerge.recipe.adapters import with_bases
from evomerge.recipe.recipe import Blend, Recipe
from evomerge.recipe.stages import Linear, Weigh


def references(recipe: Recipe) -> dict[str, Recipe]:
    """Reference recipes by a name for tables and figures.

    Args:
        recipe: Any recipe of a search; its models and the experts of its result are what counts. Where nothing is
            blended, all models are experts. Those of several depths have no average.
    """
    sources = recipe.blends[recipe.result].experts if recipe.blends else [*recipe.models]
    experts = [name for name in sources if name in recipe.models]
    found = {name: _average(recipe, (name,)) for name in recipe.models}
    if len(experts) > 1 and len({recipe.models[name].layers for name in experts}) == 1:
        found["uniform"] = _average(recipe, tuple(experts))
    return found


def parents(recipe: Recipe) -> list[str]:
    """Names of the models that a recipe takes its abilities from.

    Experts of any blend and models that layers are routed from; every model where none is either.
    """
    experts = {name for blend in recipe.blends.values() for name in blend.experts}
    experts |= {segment.source for segment in recipe.route or ()}
    return [name for name in recipe.models if name in experts] or list(recipe.models)


def _average(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
    pipe = (Weigh(weigh=(1.0,) * len(names)), Linear(reduce="mean"))
    blend = Blend(experts=names, pipe=pipe)
    return Recipe(models=with_bases(recipe.models, names), blends={"average": blend}, dtype=recipe.dtype)
