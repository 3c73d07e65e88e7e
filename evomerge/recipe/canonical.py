"""The canonical form: one spelling for recipes that give the same tensors, and its digest."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from evomerge.documents import tree_of
from evomerge.recipe.canonical_route import needed, with_canonical_route, without_unseen_rules
from evomerge.recipe.digits import significant
from evomerge.recipe.measures import measures, source_of
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.redundancy import without_redundancy
from evomerge.recipe.spans import cut
from evomerge.recipe.stages import DensityGate, Linear, Scale, StageValue, Weigh, cancel
from evomerge.recipe.stages.votes import VoteValue
from evomerge.recipe.where import Where

S = TypeVar("S", bound=StageValue)


def canonical(recipe: Recipe) -> Recipe:
    """`recipe.canonical`, which is computed once per recipe."""
    return recipe.canonical


def canonical_form(recipe: Recipe) -> Recipe:
    """The same merge with presets expanded, neutral stages dropped and redundant freedom removed. Idempotent."""
    blends = {name: _canonical_blend(recipe.blends[name]) for name in needed(recipe)}
    recipe = with_canonical_route(recipe.model_copy(update={"blends": blends}))
    blends = {name: _canonical_blend(without_unseen_rules(recipe, name)) for name in recipe.blends}
    used = {source_of(blend, place) for blend in blends.values() for place, _ in measures(blend)}
    calibration = {name: data for name, data in (recipe.calibration or {}).items() if name in used} or None
    return Recipe(
        models=recipe.models,
        blends=blends,
        route=recipe.route,
        ends=recipe.ends,
        dtype=recipe.dtype,
        tokenizer=recipe.tokenizer,
        calibration=calibration,
    )


def identity_digest(recipe: Recipe) -> str:
    """`sha256` over a canonical recipe with models named by what they contain and blends by their place."""
    text = json.dumps(_identity(recipe), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_pipe(pipe: Sequence[StageValue], num_experts: int, has_origin: bool) -> tuple[StageValue, ...]:
    """The canonical form of one pipe: simplified until nothing changes.

    Args:
        pipe: Stages in slot order.
        num_experts: How many experts the blend has.
        has_origin: Whether the blend measures from a model rather than from zero.
    """
    once = _simplified(pipe, num_experts, has_origin)
    return once if once == tuple(pipe) else canonical_pipe(once, num_experts, has_origin)


def _simplified(pipe: Sequence[StageValue], num_experts: int, has_origin: bool) -> tuple[StageValue, ...]:
    parts = Parts.of(pipe, num_experts)
    parts = without_redundancy(dataclasses.replace(parts, reduce=_rounded(parts.reduce)))
    gates = tuple(_joined(parts.gates))
    is_idle = num_experts == 1 and isinstance(parts.vote, VoteValue) and parts.vote.is_idle_alone
    parts = dataclasses.replace(
        parts,
        gates=gates,
        restore=parts.restore if gates else None,
        vote=None if is_idle else parts.vote,
        reduce=Linear(reduce="sum") if num_experts == 1 and parts.reduce.is_sum_alone else parts.reduce,
        posts=tuple(_gathered(parts.posts)),
    )
    if isinstance(parts.weigh, Weigh) and parts.reduce.takes_factor:
        parts = _fold_scale(parts, parts.weigh.weigh, parts.reduce)
        parts = dataclasses.replace(parts, lens=None if _ignores_lens(parts) else parts.lens)
    elif _hears_ratios(parts):
        parts = dataclasses.replace(parts, weigh=_by_ratio(parts.weigh))
    from_zero = has_origin and (parts.from_zero or (parts.is_affine and parts.sums_to_one))
    silent = isinstance(parts.weigh, Weigh) and not isinstance(parts.reduce, Linear) and set(parts.weigh.weigh) == {1.0}
    stages = dataclasses.replace(parts, from_zero=from_zero).stages
    return tuple(_rounded(stage) for stage in stages if not (silent and isinstance(stage, Weigh)))


def _gathered(posts: Iterable[StageValue]) -> Iterator[StageValue]:
    """Scales commute with all posts that scale along: one scale in front of each stretch of those."""
    for _, stretch in itertools.groupby(posts, key=lambda post: post.is_homogeneous):
        scales, others = list[float](), list[StageValue]()
        for post in stretch:
            if isinstance(post, Scale):
                scales.append(post.by)
            else:
                others.append(post)
        if (scale := math.prod(scales)) != 1.0:
            yield Scale(post="scale", by=scale)
        yield from others


def _fold_scale(parts: Parts, weights: tuple[float, ...], reduce: StageValue) -> Parts:
    """One spelling for a common factor of the weights and `post: scale`: in the weights of a sum, outside a mean."""
    first, *others = [*parts.posts, None]
    scale = first.by if isinstance(first, Scale) else 1.0
    posts = tuple(post for post in (others if isinstance(first, Scale) else [first, *others]) if post is not None)
    is_turnable = getattr(parts.vote, "tally", "plain") != "weighted"
    if isinstance(reduce, Linear) and reduce.reduce == "mean":
        if parts.vote is not None:
            # weights of both signs may cancel at single entries, where a common factor is no longer free
            loudest = max(weights) if min(weights) >= 0 < max(weights) else 1.0
            weights = tuple(weight / loudest for weight in weights)
            return _with(parts, reduce, weights, scale, posts)
        total = 1.0 if cancel(weights) else math.fsum(weights)
        reduce, weights = Linear(reduce="sum"), tuple(weight / total for weight in weights)
    sign = 1.0 if scale >= 0 or is_turnable else -1.0  # which in the weights would turn the weighted vote around
    weights, scale = tuple(weight * scale * sign for weight in weights), sign
    return _with(parts, reduce, weights, scale, posts)


def _with(
    parts: Parts, reduce: StageValue, weights: tuple[float, ...], scale: float, posts: tuple[StageValue, ...]
) -> Parts:
    lead = (Scale(post="scale", by=significant(scale)),) if significant(scale) != 1.0 else ()
    return dataclasses.replace(
        parts, reduce=reduce, weigh=Weigh(weigh=tuple(map(significant, weights))), posts=(*lead, *posts)
    )


def _hears_ratios(parts: Parts) -> bool:
    """Whether a common positive factor of the weights makes no difference."""
    if isinstance(parts.reduce, Linear):
        return parts.reduce.reduce == "mean"
    return parts.reduce.ignores_factor and isinstance(parts.weigh, Weigh)  # and not one factor per entry


def _by_ratio(weigh: StageValue) -> StageValue:
    """The weigher with its loudest factor at 1, where the reducer hears ratios only."""
    name = "weigh" if isinstance(weigh, Weigh) else "weights"
    weights: tuple[float, ...] = getattr(weigh, name, ())
    if not weights or not min(weights) >= 0 < max(weights):
        return weigh
    return weigh.model_copy(update={name: tuple(significant(weight / max(weights)) for weight in weights)})


def _ignores_lens(parts: Parts) -> bool:
    """Whether all stages inside the lens are linear, so that no coordinates show in the result."""
    # without the lens, and without another stage on matrices, a stack of them counts as one tensor
    same_tensors = all(post.is_entrywise for post in parts.posts) or any(post.on_matrices for post in parts.posts)
    return isinstance(parts.reduce, Linear) and not parts.gates and parts.vote is None and same_tensors


def _joined(gates: Iterable[StageValue]) -> list[StageValue]:
    """Gates that take something. Of neighbours of one kind the stricter decides, because their masks are nested."""
    joined: list[StageValue] = []
    for gate in gates:
        if isinstance(gate, DensityGate):
            gate = _with_density(gate, gate.density)
            if gate.is_neutral:
                continue
            last = joined[-1] if joined else None
            if isinstance(last, DensityGate) and last.joins and _with_density(last, 1.0) == _with_density(gate, 1.0):
                gate = _with_density(gate, _each_least(last.density, gate.density))
                joined.pop()
        joined.append(gate)
    return joined


def _with_density(gate: DensityGate, density: float | tuple[float, ...]) -> DensityGate:
    each = tuple(map(significant, density)) if isinstance(density, tuple) else (significant(density),)
    return gate.model_copy(update={"density": each[0] if len(set(each)) == 1 else each})


def _each_least(first: float | tuple[float, ...], second: float | tuple[float, ...]) -> float | tuple[float, ...]:
    if not isinstance(first, tuple) and not isinstance(second, tuple):
        return min(first, second)
    count = len(first) if isinstance(first, tuple) else len(second)  # type: ignore[arg-type]
    pairs = zip(*((d if isinstance(d, tuple) else (d,) * count) for d in (first, second)), strict=True)
    return tuple(map(min, pairs))


def _canonical_blend(blend: Blend) -> Blend:
    rules: list[PipeRule] = []
    for rule in reversed(blend.all_rules):
        stages = rule.pipe if isinstance(rule, PipeRule) else rule.pipe(len(blend.experts))
        pipe = canonical_pipe(stages, len(blend.experts), has_origin=blend.origin is not None)
        where = _canonical_where(rule.where)
        is_next = bool(rules) and rules[0].where is None and rules[0].pipe == pipe
        if not is_next or any(stage.spans_model for stage in pipe):  # else the next rule does the same
            rules.insert(0, PipeRule(where=where, pipe=pipe))
    rules = list(_by_span(rules)) if any(rule.where and rule.where.span for rule in rules) else rules
    seed = blend.seed if any(stage.is_stochastic for rule in rules for stage in rule.pipe) else 0
    return Blend(origin=blend.origin, experts=blend.experts, seed=seed, rules=tuple(rules))


def _by_span(rules: Sequence[PipeRule]) -> Iterator[PipeRule]:
    """Neighbouring rules for parts of the same tensors in the order of the entries, joined where they do the same."""
    for tensors, several in itertools.groupby(rules, key=lambda rule: (rule.where or Where()).off_span):
        group = list(several)
        spans = [rule.where.span if rule.where else None for rule in group]
        last = next((rule for rule, span in zip(group, spans, strict=True) if span is None), None)
        whole = (0, max(span[1] for span in spans if span)) if any(spans) else (0, 1)
        pipes = [(span, None if place is None else group[place].pipe) for span, place in cut(spans, whole)]
        for pipe, parts in itertools.groupby(pipes, key=lambda part: part[1]):
            ends = [end for span, _ in parts for end in span]
            if pipe is not None and (last is None or pipe != last.pipe):
                yield PipeRule(where=tensors.model_copy(update={"span": (ends[0], ends[-1])}), pipe=pipe)
        if last is not None:
            yield PipeRule(where=None if tensors == Where() else tensors, pipe=last.pipe)


def _canonical_where(where: Where | None) -> Where | None:
    if where is None or where == Where():
        return None
    roles, names = where.roles and tuple(sorted(set(where.roles))), where.names and tuple(sorted(set(where.names)))
    return where.model_copy(update={"roles": roles, "names": names})


def _identity(recipe: Recipe) -> dict[str, Any]:
    names = recipe.identities
    blends = [_blend_identity(recipe, name) for name in recipe.blends]
    donors = [names[recipe.donor], names[recipe.tokenizer_donor]]
    tree: dict[str, Any] = {"evomerge": recipe.evomerge, "blends": blends, "dtype": recipe.dtype, "donors": donors}
    if recipe.route is not None:
        tree["route"] = [[names[part.source], part.layers, part.write, *_given(part.read)] for part in recipe.route]
    if recipe.ends is not None:
        tree["ends"] = [*(names[source] for source in recipe.end_sources.values()), *_given(recipe.ends.read)]
    return tree


def _given(factor: float | None) -> tuple[float, ...]:
    """A factor that is there: without one, a recipe's identity is what it was before there were any."""
    return () if factor is None else (factor,)


def source_digests(recipe: Recipe) -> dict[str, str]:
    """What each model and blend of a canonical recipe contains, by its name, whatever else the recipe holds.

    Sources with one digest have the same tensors, in any two recipes over the same models.
    """
    known = {name: recipe.identities[name] for name in recipe.models}
    for name, blend in recipe.blends.items():
        parts = [known[source] for source in (*blend.experts, blend.origin) if source is not None]
        text = json.dumps([_blend_identity(recipe, name), parts], sort_keys=True)
        known[name] = hashlib.sha256(text.encode()).hexdigest()
    return known


def _blend_identity(recipe: Recipe, name: str) -> dict[str, Any]:
    blend, names = recipe.blends[name], recipe.identities
    tree = tree_of(blend)
    tree["experts"] = [names[expert] for expert in blend.experts]
    tree["origin"] = names[blend.origin] if blend.origin else None
    if statistics := _statistics(recipe, blend):
        tree["statistics"] = statistics
    return tree


def _statistics(recipe: Recipe, blend: Blend) -> list[Any]:
    """What tells the statistics that a blend reads from others."""
    data = recipe.calibration or {}
    return [[place, data[source_of(blend, place) or ""].identity(kind)] for place, kind in measures(blend)]


def _rounded(stage: S) -> S:
    """The stage with all of its numbers rounded."""
    changed = {
        name: tuple(map(significant, value)) if isinstance(value, tuple) else significant(value)
        for name, value in stage
        if isinstance(value, float) or (isinstance(value, tuple) and all(isinstance(part, float) for part in value))
    }
    return stage.model_copy(update=changed)
