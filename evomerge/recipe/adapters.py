"""Adapters in a recipe: what they may stand on, and which stages need nothing but them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from evomerge.documents import suggestion
from evomerge.recipe.stages import Scale, StageValue, Weigh
from evomerge.recipe.stages.adapters import Lego

if TYPE_CHECKING:
    from evomerge.recipe.recipe import ModelRef, Recipe

Fault: TypeAlias = tuple[tuple[str | int, ...], str]


def adapter_faults(recipe: Recipe) -> Iterator[Fault]:
    """What is wrong with a recipe's adapters, each fault with its place."""
    if groundless := [*base_faults(recipe.models)]:
        yield from groundless
        return
    for name, blend in recipe.blends.items():
        strangers = [
            expert for expert in blend.experts if blend.origin is None or adapted(recipe.models, expert) != blend.origin
        ]
        for index, rule in enumerate(blend.all_rules):
            pipe = rule.pipe if isinstance(rule.pipe, tuple) else rule.pipe(len(blend.experts))
            for what in _pipe_faults(pipe, strangers):
                yield ("blends", name, *(() if blend.pipe is not None else ("rules", index))), what


def base_faults(models: Mapping[str, ModelRef]) -> Iterator[Fault]:
    """Adapters whose base is not one of the models, or is an adapter too."""
    whole = [name for name, model in models.items() if model.adapts is None]
    for name, model in models.items():
        if model.adapts in models and model.adapts not in whole:
            what = f'"{model.adapts}" is an adapter itself. Name the whole model that both were trained on.'
            yield ("models", name, "adapts"), what
        elif model.adapts is not None and model.adapts not in whole:
            yield ("models", name, "adapts"), f'"{model.adapts}" is not a model. {suggestion(model.adapts, whole)}'


def with_bases(models: Mapping[str, ModelRef], names: Collection[str]) -> dict[str, ModelRef]:
    """Some of the models, and those that their adapters stand on."""
    needed = {*names, *(adapted(models, name) for name in names)}
    return {name: model for name, model in models.items() if name in needed}


def adapted(models: Mapping[str, ModelRef], name: str) -> str | None:
    """The model that an adapter was trained on; None for whole models and blends."""
    return models[name].adapts if name in models else None


def _pipe_faults(pipe: Sequence[StageValue], strangers: Sequence[str]) -> Iterator[str]:
    """Why stages that act on factors cannot do so."""
    reducer = next((stage for stage in pipe if stage.on_factors), None)
    if reducer is None:
        return
    name = f"{reducer.slot}: {getattr(reducer, reducer.slot)}"
    if strangers:
        what = f'"{strangers[0]}" is no adapter on the origin of the blend, and {name} acts on the factors of adapters'
        yield f"{what}. Name adapters, with their base as origin: models.{strangers[0]}: {{path: …, adapts: …}}."
    for stage in pipe:
        if stage is not reducer and not isinstance(stage, Weigh | Scale) and not stage.is_neutral:
            own = f"{stage.slot}: {getattr(stage, stage.slot)}"
            yield f"{own} acts on single entries, but {name} on factors, which have none. Leave one of them out."
        if isinstance(reducer, Lego) and isinstance(stage, Weigh) and min(stage.weigh) < 0:
            yield f"{name} counts units as often as their weights say, so none may be negative."
