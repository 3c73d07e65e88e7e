"""The canonical form: one spelling for recipes that give the same tensors, and its digest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from evomerge.documents import tree_of
from evomerge.recipe.parts import Parts
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    Origin,
    Restore,
    Scale,
    Sphere,
    StageValue,
    TopGate,
    Vote,
    Weigh,
    cancel,
)
from evomerge.recipe.where import Where

SIGNIFICANT_DIGITS = 9
"""Numbers are rounded to so many digits before merging, so that equal digests mean equal tensors."""

_Linear = tuple[Linear | Sphere, tuple[float, ...], float]
_Gate = TopGate | BernoulliGate


def canonical(recipe: Recipe) -> Recipe:
    """`recipe.canonical`, which is computed once per recipe."""
    return recipe.canonical


def canonical_form(recipe: Recipe) -> Recipe:
    """The same merge with presets expanded, neutral stages dropped and redundant freedom removed. Idempotent."""
    blends = {name: _canonical_blend(recipe.blends[name]) for name in _needed(recipe)}
    return Recipe(models=recipe.models, blends=blends, dtype=recipe.dtype, tokenizer=recipe.tokenizer)


def identity_digest(recipe: Recipe) -> str:
    """`sha256` over a canonical recipe with models named by what they contain and blends by their place."""
    text = json.dumps(_identity(recipe), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_pipe(pipe: Sequence[StageValue], num_experts: int, has_origin: bool) -> tuple[StageValue, ...]:
    """The canonical form of one pipe.

    Args:
        pipe: Stages in slot order.
        num_experts: How many experts the blend has.
        has_origin: Whether the blend measures from a model rather than from zero.
    """
    parts = Parts.of(pipe, num_experts)
    gates = _joined(parts.gates)
    vote = parts.vote if num_experts > 1 else None  # one expert always agrees with itself
    reduce, weights, scale = _fold_scale(parts.reduce, parts.weights, parts.scale, vote)
    from_zero = parts.from_zero or (isinstance(reduce, Linear) and not gates and vote is None and _sum_to_one(weights))
    stages: list[StageValue] = [Origin(origin="zero")] if from_zero and has_origin else []
    stages += gates
    if gates and parts.restore != "none":
        stages.append(Restore(restore=parts.restore))
    stages += [vote] if vote else []
    if isinstance(reduce, Linear) or any(weight != 1.0 for weight in weights):
        stages.append(Weigh(weigh=weights))
    stages.append(reduce)
    if scale != 1.0:
        stages.append(Scale(post="scale", by=scale))
    return tuple(stages)


def _fold_scale(reduce: Linear | Sphere, weights: tuple[float, ...], scale: float, vote: Vote | None) -> _Linear:
    """One spelling for a common factor of the weights and `post: scale`: in the weights of a sum, outside a mean."""
    if isinstance(reduce, Sphere):
        reduce = Sphere(reduce="sphere", t=_round(reduce.t))
    elif reduce.reduce == "mean" and vote is None:
        total = 1.0 if cancel(weights) else math.fsum(weights)
        reduce, weights = Linear(reduce="sum"), tuple(weight / total for weight in weights)
    elif reduce.reduce == "mean":
        # weights of both signs may cancel at single entries, where a common factor is no longer free
        loudest = max(weights) if min(weights) >= 0 < max(weights) else 1.0
        return reduce, tuple(_round(weight / loudest) for weight in weights), _round(scale)
    if scale > 0 or vote is None or vote.tally == "plain":  # else a factor would turn the weighted vote around
        weights, scale = tuple(weight * scale for weight in weights), 1.0
    return reduce, tuple(map(_round, weights)), _round(scale)


def _sum_to_one(weights: tuple[float, ...]) -> bool:
    """Whether the origin cancels in O + Σ w_k (W_k − O), up to the rounding of the weights."""
    return math.isclose(math.fsum(weights), 1.0, rel_tol=0, abs_tol=1e-8 * math.fsum(map(abs, weights)))


def _joined(gates: Iterable[_Gate]) -> list[_Gate]:
    """Gates that take something. Of neighbours of one kind the stricter decides, because their masks are nested."""
    joined: list[_Gate] = []
    for gate in (_with_density(gate, gate.density) for gate in gates):
        if gate.density == 1.0:
            continue
        if joined and type(joined[-1]) is type(gate):
            gate = _with_density(gate, _each_least(joined.pop().density, gate.density))
        joined.append(gate)
    return joined


def _with_density(gate: _Gate, density: float | tuple[float, ...]) -> _Gate:
    each = tuple(map(_round, density)) if isinstance(density, tuple) else (_round(density),)
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
        if not (rules and rules[0].where is None and rules[0].pipe == pipe):  # else the next rule does the same
            rules.insert(0, PipeRule(where=where, pipe=pipe))
    is_stochastic = any(isinstance(stage, BernoulliGate) for rule in rules for stage in rule.pipe)
    seed = blend.seed if is_stochastic else 0
    return Blend(origin=blend.origin, experts=blend.experts, seed=seed, rules=tuple(rules))


def _canonical_where(where: Where | None) -> Where | None:
    if where is None or where == Where():
        return None
    roles = where.roles and tuple(sorted(set(where.roles)))
    return Where(layers=where.layers, roles=roles, names=where.names and tuple(sorted(set(where.names))))


def _needed(recipe: Recipe) -> list[str]:
    """Blends that the result is made of, in the recipe's order."""
    needed = {recipe.result}
    for name in reversed(recipe.blends):
        if name in needed:
            needed |= {*recipe.blends[name].experts, recipe.blends[name].origin or ""}
    return [name for name in recipe.blends if name in needed]


def _identity(recipe: Recipe) -> dict[str, Any]:
    names = recipe.identities
    blends = []
    for blend in recipe.blends.values():
        tree = tree_of(blend)
        tree["experts"] = [names[expert] for expert in blend.experts]
        tree["origin"] = names[blend.origin] if blend.origin else None
        blends.append(tree)
    donors = [names[recipe.donor], names[recipe.tokenizer_donor]]
    return {"evomerge": recipe.evomerge, "blends": blends, "dtype": recipe.dtype, "donors": donors}


def _round(value: float) -> float:
    # "+ 0.0" turns -0.0 into 0.0, which would print differently
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
