"""Redundancy: freedom in a pipe that never shows in a tensor, taken away."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from evomerge.recipe.numbers import chance
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import (
    BernoulliGate,
    DensityGate,
    Linear,
    Restore,
    SignVote,
    Sphere,
    StageValue,
    StdRestore,
    TopGate,
    Weigh,
)

Weights = tuple[float, ...]


def without_redundancy(parts: Parts) -> Parts:
    """The same merge in fewer words.

    - An interpolation at one of its ends, or with nothing on one side, is a weighted sum.
    - Of one expert that speaks, and of none, votes decide nothing; of none, gates neither.
    - Equal weights above 0 make the plain tally the weighted one.
    - Of an expert with weight 0 it does not matter what its gates keep, unless it votes all the same.
    - A gate keeps all that a stricter one of its kind kept before.
    - What is divided by the density before a sum may as well be weighed by its inverse.

    Args:
        parts: Of any pipe; an interpolation point rounded, so that ends are ends.
    """
    if not isinstance(parts.weigh, Weigh):
        return parts
    parts, weights = _with_sum(parts, parts.weigh.weigh)
    if not isinstance(parts.reduce, Linear):
        return parts
    is_sum = parts.reduce.reduce == "sum"
    parts = _with_simple_vote(parts, weights)
    if not all(type(gate) in (TopGate, BernoulliGate) for gate in parts.gates):
        return parts
    is_plain = parts.vote is None or (isinstance(parts.vote, SignVote) and parts.vote.tally == "weighted")
    parts = _without_silent(parts, weights) if is_plain else parts
    parts = dataclasses.replace(parts, gates=_without_repeats(parts.gates, len(weights)))
    return _with_restoring_weights(parts, weights) if is_plain and is_sum else parts


def _with_sum(parts: Parts, weights: Weights) -> tuple[Parts, Weights]:
    if not isinstance(parts.reduce, Sphere):
        return parts, weights
    t = parts.reduce.t
    hears_weights = getattr(parts.vote, "tally", "") != "plain" and parts.vote is not None
    if (0 < t < 1 and 0 not in weights) or (t in (0.0, 1.0) and hears_weights):
        return parts, weights
    weights = (weights[0] * (1 - t), weights[1] * t)
    return dataclasses.replace(parts, weigh=Weigh(weigh=weights), reduce=Linear(reduce="sum")), weights


def _with_simple_vote(parts: Parts, weights: Weights) -> Parts:
    vote = parts.vote
    if not isinstance(vote, SignVote):
        return parts
    if vote.tally == "weighted" and sum(weight != 0 for weight in weights) <= 1:
        return dataclasses.replace(parts, vote=None)
    if vote.tally == "plain" and len(set(weights)) == 1 and weights[0] > 0:
        return dataclasses.replace(parts, vote=vote.model_copy(update={"tally": "weighted"}))
    return parts


def _without_silent(parts: Parts, weights: Weights) -> Parts:
    if not any(weights):
        return dataclasses.replace(parts, gates=(), restore=None, vote=None)
    if isinstance(parts.restore, StdRestore):  # which acts on those who speak because there is a gate
        return parts
    opened = [
        tuple(1.0 if weight == 0 else gate.density_of(expert) for expert, weight in enumerate(weights))
        for gate in parts.gates
        if isinstance(gate, DensityGate)
    ]
    gates = tuple(_with_densities(gate, each, weights) for gate, each in zip(parts.gates, opened, strict=True))
    return dataclasses.replace(parts, gates=gates)


def _with_densities(gate: StageValue, densities: Sequence[float], weights: Weights) -> StageValue:
    """One number where all that speak share it, which is the shorter way to say the same."""
    spoken = {density for density, weight in zip(densities, weights, strict=True) if weight != 0}
    return gate.model_copy(update={"density": spoken.pop() if len(spoken) == 1 else tuple(densities)})


def _without_repeats(gates: Sequence[StageValue], num_experts: int) -> tuple[StageValue, ...]:
    least: dict[str, list[float]] = {}
    kept: list[StageValue] = []
    for gate in gates:
        if not isinstance(gate, DensityGate):
            continue
        densities = [gate.density_of(expert) for expert in range(num_experts)]
        kind = repr(gate.model_copy(update={"density": 1.0}))
        before = least.setdefault(kind, [math.inf] * num_experts)
        taken = [1.0 if density >= b else density for density, b in zip(densities, before, strict=True)]
        least[kind] = [min(pair) for pair in zip(densities, before, strict=True)]
        if any(density < 1 for density in taken):
            shown = tuple(taken) if taken != densities else gate.density
            kept.append(gate.model_copy(update={"density": shown}))
    return tuple(kept)


def _with_restoring_weights(parts: Parts, weights: Weights) -> Parts:
    if not isinstance(parts.restore, Restore) or parts.restore.restore != "inverse":
        return parts
    shares = [1.0] * len(weights)
    for kind in (TopGate, BernoulliGate):
        of_kind = [gate for gate in parts.gates if isinstance(gate, kind)]
        for expert in range(len(weights)):
            least = min((gate.density_of(expert) for gate in of_kind), default=1.0)
            shares[expert] *= chance(least) if kind is BernoulliGate else least
    restored = tuple(weight / share for weight, share in zip(weights, shares, strict=True))
    return dataclasses.replace(parts, restore=None, weigh=Weigh(weigh=restored))
