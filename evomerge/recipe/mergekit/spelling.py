"""Spelling: which method of mergekit, with which parameters, does what a pipe of stages does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import pydantic

from evomerge.documents import Tree
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.mergekit.methods import METHODS, Method
from evomerge.recipe.parts import Parts
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.recipe import Blend
from evomerge.recipe.stages import Scale, StageValue, cancel

Values: TypeAlias = dict[str, Tree]
"""Fields of a preset and their values."""

Work: TypeAlias = tuple[Sequence[tuple[StageValue, ...]], Blend]
"""Canonical pipes and the blend that they act in."""


_FIELDS = {"at": "t", "iterations": "max_iter", "tolerance": "tol", "strength": "r", "limit": "alpha"}
"""Fields of stages that presets call otherwise."""


def common_method(works: Sequence[Work]) -> tuple[str, list[list[Values]]] | None:
    """The first method that can spell all pipes, and the values for each; None where there is none.

    Args:
        works: What each share of the model is merged by.
    """
    for name, method in sorted(METHODS.items(), key=lambda item: item[0] != "passthrough"):  # the plainest first
        spelt = [_spell_all(pipes, method, blend) for pipes, blend in works]
        found = [values for values in spelt if values is not None]
        if len(found) == len(spelt):
            return name, found
    return None


def _spell_all(pipes: Sequence[tuple[StageValue, ...]], method: Method, blend: Blend) -> list[Values] | None:
    """Values for each pipe, with the same flags for all where that can be; None where a pipe has none."""
    if not _suits(method, blend):
        return None
    fields = [parameter.field for parameter in method.parameters.values() if parameter.kind == "flag"]
    usual = [PRESETS[method.preset].model_fields[name].default for name in fields]
    ways = [dict(zip(fields, way, strict=True)) for way in itertools.product(*((each, not each) for each in usual))]
    for flags in [*([way] for way in ways), ways]:
        spelt = [_spell(pipe, method, blend, flags) for pipe in pipes]
        found = [values for values in spelt if values is not None]
        if len(found) == len(spelt):
            return found
    return None


def _suits(method: Method, blend: Blend) -> bool:
    fewest, most = method.num_others
    count = len(blend.experts) - (method.base == "first")
    is_origin = blend.origin is not None and blend.origin not in blend.experts
    bases = {
        "origin": is_origin,
        "optional origin": is_origin or blend.origin is None,
        "first": blend.origin in (None, blend.experts[0]),
        "input": blend.origin is None,
    }
    return bases[method.base] and fewest <= count and (most is None or count <= most) and method.preset in PRESETS


def _spell(
    pipe: tuple[StageValue, ...], method: Method, blend: Blend, ways: Sequence[dict[str, bool]]
) -> Values | None:
    """Values under which the method's preset has this canonical pipe, with flags in one of some ways."""
    preset, num_experts, has_origin = PRESETS[method.preset], len(blend.experts), blend.origin is not None
    fields = {parameter.field for parameter in method.parameters.values()}
    tried: list[Values] = []
    for guess, flags in itertools.product(_guesses(pipe, num_experts), ways):
        values = {name: value for name, value in guess.items() if name in fields} | flags
        if values in tried or (method.base == "input" and _has_no_mean(values)):
            continue
        tried.append(values)
        try:
            expanded = preset.model_validate({"use": method.preset, **values}).pipe(num_experts)
        except pydantic.ValidationError:
            continue
        if canonical_pipe(expanded, num_experts, has_origin) == pipe:
            return values
    return None


def _has_no_mean(values: Values) -> bool:
    """Whether mergekit would divide whole weights by zero."""
    return values.get("normalize", False) is True and cancel(values["weights"] or ())


def _guesses(pipe: tuple[StageValue, ...], num_experts: int) -> Iterator[Values]:
    """What the numbers may be, read off the stages."""
    parts = Parts.of(pipe, num_experts)
    numbers: Values = {}
    for stage in (*parts.gates, parts.restore, parts.vote, parts.weigh, parts.reduce, *parts.posts):
        if stage is not None:
            numbers |= {_FIELDS.get(name, name): value for name, value in stage.model_dump().items()}
    weights = numbers.get("weigh")
    lead = parts.posts[0] if parts.posts else None
    lone = weights[0] if isinstance(weights, tuple) and num_experts == 1 else 1.0
    numbers |= {"density": numbers.get("density", 1.0), "select_topk": numbers.get("density", 1.0)}
    scales = dict.fromkeys((lead.by if isinstance(lead, Scale) else 1.0, lone))
    ends = (numbers["t"],) if "t" in numbers else (0.0, 1.0)  # where one model is left, no sphere is
    for t, scale in itertools.product(ends, scales):
        for each in dict.fromkeys((weights, (1.0 - t, t))):
            yield numbers | {"t": t, "weights": each, "scale": scale}
