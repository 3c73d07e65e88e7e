"""The canonical form of routes: one spelling for routes that give the same layers."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.recipe.calibration import PER_CANDIDATE
from evomerge.recipe.digits import significant
from evomerge.recipe.measures import measures
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.route import Ends, Route, Segment, depth_of, joined
from evomerge.recipe.stages import Linear, Origin, Weigh

_COPY = (Weigh(weigh=(1.0,)), Linear(reduce="sum"))
"""The pipe of a blend that is its only expert."""


def needed(recipe: Recipe) -> list[str]:
    """Blends that the result is made of, in the recipe's order."""
    wanted = {*recipe.sources}
    for name in reversed(recipe.blends):
        if name in wanted:
            wanted |= {*recipe.blends[name].experts, recipe.blends[name].origin or ""}
    return [name for name in recipe.blends if name in wanted]


def with_canonical_route(recipe: Recipe) -> Recipe:
    """The same merge with its route and ends in their shortest spelling, and without blends that take no part.

    - Factors of 1 and what the recipe's result gives anyway are left out.
    - Segments that follow each other are one.
    - A blend that is its only expert is that model.
    - A route that is the result's own layers in their order is left out. Where the models' depth is not known, only a
      route that says so by leaving `layers` out is.

    Args:
        recipe: Its blends in their canonical form.
    """
    if recipe.route is None and recipe.ends is None:
        return recipe
    route = joined(_rounded(recipe, segment) for segment in recipe.route or (Segment.of(recipe.result, None),))
    ends = {name: _end(recipe, source) for name, source in recipe.end_sources.items()}
    sign = {"read": -1.0} if recipe.ends is not None and recipe.ends.read == -1.0 else {}
    recipe = recipe.model_copy(update={"route": route, "ends": Ends.model_validate(ends)})
    recipe = recipe.model_copy(update={"blends": {name: recipe.blends[name] for name in needed(recipe)}})
    if not sign and not recipe.blends and set(ends.values()) == {recipe.result} and _is_whole(recipe, route):
        alone = Blend(experts=(recipe.result,), rules=(PipeRule(pipe=_COPY),))
        blends = {f"{recipe.result} alone": alone}
        return recipe.model_copy(update={"blends": blends, "route": None, "ends": None})
    shown = {name: source for name, source in ends.items() if source != recipe.result} | sign
    is_own = recipe.result in recipe.blends and _is_whole(recipe, route)
    left = Ends.model_validate(shown) if shown else None
    return recipe.model_copy(update={"route": None if is_own else route, "ends": left})


def without_unseen_rules(recipe: Recipe, name: str) -> Blend:
    """A blend without the rules for layers that the route never takes from it, where no other rule notices.

    Args:
        recipe: In its canonical form but for such rules.
        name: Of the blend.
    """
    blend, route = recipe.blends[name], recipe.route
    others = (source for other in recipe.blends.values() for source in (other.origin, *other.experts))
    if route is None or name in others or any(kind in PER_CANDIDATE for _, kind in measures(blend)):
        return blend  # what is measured behind its own layers hears of all of them
    kept: list[PipeRule] = []
    for rule in reversed(blend.rules):
        assert isinstance(rule, PipeRule), "the canonical form has no presets"
        is_heard = any(stage.spans_model for later in kept for stage in later.pipe)
        if is_heard or not kept or rule.where is None or _is_seen(rule.where.layers, route, name):
            kept.insert(0, rule)
    return blend.model_copy(update={"rules": tuple(kept)})


def _is_seen(layers: tuple[int, int] | None, route: Route, source: str) -> bool:
    """Whether a route takes any of these layers from a source."""
    taken = [segment.layers for segment in route if segment.source == source]
    return layers is None or any(each is None or (each[0] <= layers[1] and layers[0] <= each[1]) for each in taken)


def _rounded(recipe: Recipe, segment: Segment) -> Segment:
    """A segment with its factors rounded, its layers named where they are known, and its source no mere copy."""
    depth = depth_of(recipe, segment.source)
    layers = (0, depth - 1) if segment.layers is None and depth else segment.layers
    write, read = significant(segment.write_factor), significant(segment.read_factor)
    return Segment.of(_original(recipe, segment.source), layers, write, read)


def _original(recipe: Recipe, source: str) -> str:
    """The model that a source only repeats; else the source itself."""
    while source in recipe.blends and _is_copy(recipe.blends[source]):
        (source,) = recipe.blends[source].experts
    return source


def _end(recipe: Recipe, source: str) -> str:
    """The model that a source only repeats, unless another model gives config and layout then."""
    model = _original(recipe, source)
    return model if recipe.donor_of(model) == recipe.donor_of(source) else source


def _is_copy(blend: Blend) -> bool:
    """Whether every tensor of a blend is that of its only expert."""
    copy = _COPY if blend.origin is None else (Origin(origin="zero"), *_COPY)
    is_covered = blend.origin is None or any(rule.where is None for rule in blend.rules)  # else the origin shows
    return len(blend.experts) == 1 and is_covered and all(rule.pipe == copy for rule in blend.rules)


def _is_whole(recipe: Recipe, route: Sequence[Segment]) -> bool:
    """Whether a route is just the layers of the recipe's result in their order."""
    depth = depth_of(recipe, recipe.result)
    layers = None if depth is None else (0, depth - 1)
    return [*route] == [Segment.of(recipe.result, layers)]
