"""Shares: which blend of a recipe each run of layers is merged by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.choices import rule_of
from evomerge.recipe.mergekit.layout import Layout, Spot
from evomerge.recipe.mergekit.stacks import head_end
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.stages import Linear, Weigh


@dataclass(frozen=True, slots=True)
class Share:
    """Layers that one blend merges, with what lies outside at their end of the model.

    Attributes:
        name: Of the blend.
        blend: In canonical form.
        layers: First and last.
        spots: Its tensors.
    """

    name: str
    blend: Blend
    layers: tuple[int, int]
    spots: tuple[Spot, ...]

    @property
    def rules(self) -> list[PipeRule]:
        """The blend's rules."""
        return [rule for rule in self.blend.rules if isinstance(rule, PipeRule)]


def shares_of(recipe: Recipe, layout: Layout, where: str) -> list[Share]:
    """The shares of a canonical recipe, from the first layer to the last.

    Args:
        recipe: One blend, or blends of models and a last one that takes every tensor from one of them as it is, or a
            route through blends of models and models.
        layout: Of its models.
        where: Its file's name, for messages.

    Raises:
        ConfigError: If its blends are put together in another way.
    """
    if recipe.route is not None or recipe.ends is not None:
        return [*_routed(recipe, layout, where)]
    if len(recipe.blends) == 1:
        blend = recipe.blends[recipe.result]
        return [Share(recipe.result, blend, (0, layout.num_layers - 1), layout.spots)]
    shares: list[Share] = []
    for name, group in itertools.groupby(_takers(recipe, layout, where), key=lambda taker: taker[0]):
        spots = [spot for _, spot in group]
        layers = [spot.layer for spot in spots if spot.layer is not None]
        if not layers or name in recipe.models:
            raise ConfigError.at(f"{where}: blends.{recipe.result}", _ADVICE)
        shares.append(Share(name, recipe.blends[name], (min(layers), max(layers)), tuple(spots)))
    return shares


def _routed(recipe: Recipe, layout: Layout, where: str) -> Iterator[Share]:
    """One share per segment of a route. Layers come from where it says, ends from its first and last segment."""
    route = recipe.route or ()
    front, back = (route[0].source, route[-1].source) if route else ("", "")
    wanted = {"embeddings": front, "norm": back, "head": head_end(layout.spots, front, back)}
    if recipe.end_sources != wanted or (recipe.ends is not None and recipe.ends.read is not None):
        what = "mergekit takes embeddings from the first slice, and norm and head from the last. Take them from there."
        raise ConfigError.at(f"{where}: ends", what)
    for index, segment in enumerate(route):
        for name, factor in (("write", segment.write), ("read", segment.read)):
            if factor is not None:
                what = f"mergekit knows no factor on what a layer {name}s. Export the recipe instead."
                raise ConfigError.at(f"{where}: route[{index}].{name}", what)
        copy = Blend(experts=(segment.source,), rules=(PipeRule(pipe=(Weigh(weigh=(1.0,)), Linear(reduce="sum"))),))
        blend = recipe.blends.get(segment.source, copy)
        if any(expert in recipe.blends for expert in blend.experts):
            raise ConfigError.at(f"{where}: blends.{segment.source}", _ADVICE)
        first, last = segment.layers or (0, layout.num_layers - 1)
        has_front, has_back = index == 0, index == len(route) - 1
        inside = [spot for spot in layout.spots if spot.layer is not None and first <= spot.layer <= last]
        outside = [spot for spot in layout.spots if spot.layer is None]
        ends = [spot for spot in outside if (has_front if spot.role == "embedding" else has_back)]
        yield Share(segment.source, blend, (first, last), (*inside, *ends))


_ADVICE = (
    "a mergekit file holds one merge, or runs of layers merged in different ways, "
    "the first with the embeddings and the last with norm and head. Export the inner blends first."
)


def _takers(recipe: Recipe, layout: Layout, where: str) -> Iterator[tuple[str, Spot]]:
    """Every tensor and the blend that it is taken from: embeddings, layers, the rest."""
    place = f"{where}: blends.{recipe.result}"
    blend = recipe.blends[recipe.result]
    rules = [rule for rule in blend.rules if isinstance(rule, PipeRule)]

    def position(spot: Spot) -> int:
        return (-1 if spot.role == "embedding" else layout.num_layers) if spot.layer is None else spot.layer

    for spot in sorted(layout.spots, key=position):
        taken = _taken(rules[rule_of(spot, rules, f"{place}.rules")], blend)
        if taken is None or any(expert in recipe.blends for expert in recipe.blends.get(taken, blend).experts):
            raise ConfigError.at(place, _ADVICE)
        yield taken, spot


def _taken(rule: PipeRule, blend: Blend) -> str | None:
    """The expert that comes out as it is; None where experts are mixed."""
    parts = Parts.of(rule.pipe, len(blend.experts))
    is_plain = parts.is_affine and parts.scale == 1.0 and (parts.from_zero or blend.origin is None)
    weights = parts.weigh.weigh if isinstance(parts.weigh, Weigh) and isinstance(parts.reduce, Linear) else ()
    loud = [expert for expert, weight in zip(blend.experts, weights, strict=False) if weight]
    return loud[0] if is_plain and len(loud) == 1 and sum(weights) == 1.0 else None
