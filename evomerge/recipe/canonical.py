"""The canonical form: one spelling for all recipes that give the same tensors, and its digest."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from evomerge.documents import tree_of
from evomerge.recipe.recipe import Blend, PipeRule, Recipe
from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    NoGate,
    Origin,
    Restore,
    Scale,
    Sphere,
    StageValue,
    TopGate,
    Vote,
    Weigh,
)

SIGNIFICANT_DIGITS = 9
"""Numbers are rounded to so many digits before merging, so that equal digests mean equal tensors."""


def canonical(recipe: Recipe) -> Recipe:
    """The same merge with presets expanded, neutral stages dropped and redundant freedom removed.

    Idempotent. What is merged is always the canonical form, so its digest decides the bytes.
    """
    blends = {name: _canonical_blend(blend) for name, blend in recipe.blends.items()}
    return Recipe(models=recipe.models, blends=blends, dtype=recipe.dtype, tokenizer=recipe.tokenizer)


def identity_digest(recipe: Recipe) -> str:
    """`sha256` over the canonical form with models named by what they contain."""
    text = json.dumps(_identity(canonical(recipe)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_pipe(pipe: tuple[StageValue, ...], num_experts: int, has_origin: bool) -> tuple[StageValue, ...]:
    """The canonical form of one pipe (`notes/methods.md` 2.3 and 2.4 give the laws).

    Args:
        pipe: Stages in slot order.
        num_experts: How many experts the blend has.
        has_origin: Whether the blend measures from a model rather than from zero.
    """
    gates = tuple(_rounded(stage) for stage in pipe if isinstance(stage, TopGate | BernoulliGate) and not _keeps_all(stage))
    restore = next((stage for stage in pipe if isinstance(stage, Restore) and stage.restore != "none"), None)
    vote = next((stage for stage in pipe if isinstance(stage, Vote) and stage.vote != "none"), None)
    weights = next((stage.weigh for stage in pipe if isinstance(stage, Weigh)), (1.0,) * num_experts)
    reduce = next((stage for stage in pipe if isinstance(stage, Linear | Sphere)), Linear(reduce="sum"))
    scale = math.prod(stage.by for stage in pipe if isinstance(stage, Scale))
    from_zero = not has_origin or any(stage == Origin(origin="zero") for stage in pipe)

    if num_experts == 1 and not (gates and from_zero):
        vote = None
    if isinstance(reduce, Linear):
        reduce, weights, scale = _fold_scale(reduce, weights, scale, voted=vote is not None)
        if not gates and vote is None and math.isclose(math.fsum(weights) * scale, 1.0, rel_tol=1e-9):
            from_zero = True  # law L1: where weights sum to one, the origin cancels
    stages: list[StageValue] = [Origin(origin="zero")] if from_zero and has_origin else []
    stages += [*gates, *([restore] if restore and gates else []), *([vote] if vote else [])]
    if isinstance(reduce, Linear) or any(weight != 1.0 for weight in weights):
        stages.append(Weigh(weigh=tuple(_round(weight) for weight in weights)))
    stages.append(_rounded(reduce))
    if _round(scale) != 1.0:
        stages.append(Scale(post="scale", by=_round(scale)))
    return tuple(stages)


def _fold_scale(
    reduce: Linear, weights: tuple[float, ...], scale: float, voted: bool
) -> tuple[Linear, tuple[float, ...], float]:
    """Law L4: a global factor of weights and `post: scale` are one degree of freedom."""
    total = math.fsum(weights)
    if reduce.reduce == "mean" and not voted and total != 0:
        reduce, weights = Linear(reduce="sum"), tuple(weight / total for weight in weights)
    if reduce.reduce == "sum" and (scale > 0 or not voted):
        return reduce, tuple(weight * scale for weight in weights), 1.0
    if reduce.reduce == "mean" and total > 0:
        return reduce, tuple(weight / total for weight in weights), scale
    return reduce, weights, scale


def _canonical_blend(blend: Blend) -> Blend:
    rules = []
    for rule in blend.all_rules:
        stages = rule.pipe if isinstance(rule, PipeRule) else rule.pipe(len(blend.experts))
        pipe = canonical_pipe(stages, len(blend.experts), has_origin=blend.origin is not None)
        rules.append(PipeRule(where=rule.where, pipe=pipe))
    stochastic = any(isinstance(stage, BernoulliGate) for rule in rules for stage in rule.pipe)
    return Blend(
        origin=blend.origin, experts=blend.experts, seed=blend.seed if stochastic else 0, rules=tuple(rules)
    )


def _identity(recipe: Recipe) -> dict[str, Any]:
    names = {name: model.identity for name, model in recipe.models.items()}
    names |= {name: f"blend:{index}" for index, name in enumerate(recipe.blends)}
    blends = []
    for blend in recipe.blends.values():
        tree = tree_of(blend)
        tree["experts"] = [names[expert] for expert in blend.experts]
        tree["origin"] = names[blend.origin] if blend.origin else None
        blends.append(tree)
    donors = [names[recipe.donor], names[recipe.tokenizer_donor]]
    return {"evomerge": recipe.evomerge, "blends": blends, "dtype": recipe.dtype, "donors": donors}


def _keeps_all(stage: StageValue) -> bool:
    match stage:
        case NoGate():
            return True
        case TopGate(density=density) | BernoulliGate(density=density):
            return all(part == 1.0 for part in (density if isinstance(density, tuple) else (density,)))
    return False


def _rounded(stage: StageValue) -> StageValue:
    match stage:
        case TopGate(density=density) | BernoulliGate(density=density):
            each = density if isinstance(density, tuple) else (density,)
            same = len(set(each)) == 1
            return stage.model_copy(update={"density": _round(each[0]) if same else tuple(map(_round, each))})
        case Sphere(t=t):
            return stage.model_copy(update={"t": _round(t)})
    return stage


def _round(value: float) -> float:
    # "+ 0.0" turns -0.0 into 0.0, which would print differently
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
