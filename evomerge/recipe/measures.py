"""Measures: which statistics of which models a recipe's stages read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evomerge.documents import suggestion
from evomerge.recipe.calibration import PER_CANDIDATE, StatisticKind
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.stages import StageValue

_EXAMPLE = "calibration: {{{name}: {{data: texts.jsonl}}}}"


def measures(blend: Blend) -> dict[tuple[int | None, StatisticKind], StageValue]:
    """Statistics that a blend reads, each with a stage that does.

    Returns:
        By the place of the expert, None for the origin, and the kind.
    """
    found: dict[tuple[int | None, StatisticKind], StageValue] = {}
    for rule in blend.all_rules:
        stages = rule.pipe if isinstance(rule, PipeRule) else rule.pipe(len(blend.experts))
        for stage in (stage for stage in stages if not stage.is_neutral):
            for kind in stage.expert_measures:
                found |= {(place, kind): stage for place in range(len(blend.experts))}
            found |= {(None, kind): stage for kind in stage.origin_measures}
    return found


def measured_models(blends: Mapping[str, Blend]) -> dict[tuple[str, StatisticKind], None]:
    """Names of models with the kinds of stored statistics that blends read of them, each once, in order."""
    return {
        (source_of(blend, place) or "", kind): None
        for blend in blends.values()
        for place, kind in measures(blend)
        if kind not in PER_CANDIDATE
    }


def source_of(blend: Blend, place: int | None) -> str | None:
    """Name of the expert at a place, of the origin for None."""
    return blend.origin if place is None else blend.experts[place]


def calibration_faults(recipe: Recipe) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is missing for the statistics that a recipe reads, each with its place."""
    known = recipe.calibration or {}
    for name in known:
        if name not in recipe.models:
            yield ("calibration", name), f'"{name}" is not a model. {suggestion(name, recipe.models)}'
    for name, blend in recipe.blends.items():
        found: dict[str, None] = {}
        for (place, kind), stage in measures(blend).items():
            found |= dict.fromkeys(_lacking(recipe, blend, place, kind, stage))
        yield from ((("blends", name), what) for what in found)


def _lacking(recipe: Recipe, blend: Blend, place: int | None, kind: StatisticKind, stage: StageValue) -> Iterator[str]:
    reads = f'"{stage.slot}: {getattr(stage, stage.slot)}" reads {kind}'
    source = source_of(blend, place)
    if source is None:
        yield f"{reads} of the origin, but the blend has none. Name one."
    elif source not in recipe.models:
        yield f'{reads} of "{source}", which is a blend, and only models are measured. Name a model there.'
    elif recipe.models[source].adapts is not None:
        yield f'{reads} of "{source}", which is an adapter, and only whole models are measured. Export it as one first.'
    elif source not in (recipe.calibration or {}):
        yield f'{reads} of "{source}", whose calibration data is not named. Add {_EXAMPLE.format(name=source)}.'
