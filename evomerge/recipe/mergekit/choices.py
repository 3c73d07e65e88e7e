"""Choices: filters of mergekit's that lead every tensor to its rule of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.layout import Spot
from evomerge.recipe.recipe import PipeRule

_Vector: TypeAlias = tuple[int, ...]
"""Index of the rule that acts in each layer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rules act on the tensors whose names contain a text; None for all that is left."""

    filter: str | None
    rules: _Vector


def choices_of(rules: Sequence[PipeRule], spots: Sequence[Spot], where: str) -> list[Choice]:
    """Filters under which every tensor finds its rule in every layer.

    mergekit merges the tensors outside the layers under the first points of the gradients. Those whose rule is
    another one get a filter of their own.

    Args:
        rules: The first that matches decides.
        spots: Tensors of neighbouring layers, and of what lies outside and goes with them.
        where: Place of the rules, for messages.

    Raises:
        ConfigError: If a tensor has no rule, or no filter leads to it.
    """
    found = {spot: rule_of(spot, rules, where) for spot in spots}
    vectors = _vectors(found)
    rest = _default(found, vectors, rules)
    choices = [*_by_filter(vectors, rest, _wished(rules)), Choice(None, rest)]
    outside = {spot.name: rule for spot, rule in found.items() if spot.layer is None}
    strays = {name: rule for name, rule in outside.items() if _chosen(choices, name).rules[0] != rule}
    choices = [*(Choice(name, (rule,) * len(rest)) for name, rule in strays.items()), *choices]
    _check(choices, found, where)
    return choices


def _vectors(found: Mapping[Spot, int]) -> dict[str, _Vector]:
    """The rules over the layers of every kind of tensor; where a layer has none, those of the layer's first tensor."""
    first: dict[int, int] = {}
    for spot, rule in found.items():
        if spot.layer is not None:
            first.setdefault(spot.layer, rule)
    inside: dict[str, dict[int, int]] = {}
    for spot, rule in found.items():
        if spot.layer is not None:
            inside.setdefault(spot.halves[1], {})[spot.layer] = rule
    return {suffix: tuple((first | known)[layer] for layer in sorted(first)) for suffix, known in inside.items()}


def _chosen(choices: Sequence[Choice], name: str) -> Choice:
    return next(choice for choice in choices if choice.filter is None or choice.filter in name)


def _check(choices: Sequence[Choice], found: Mapping[Spot, int], where: str) -> None:
    """That the filters lead every tensor to its rule."""
    first = min((spot.layer for spot in found if spot.layer is not None), default=0)
    for spot, rule in found.items():
        if _chosen(choices, spot.name).rules[0 if spot.layer is None else spot.layer - first] != rule:
            raise ConfigError.at(where, f"no filter of mergekit's tells {spot.name} from the others. Drop its rule.")


def rule_of(spot: Spot, rules: Sequence[PipeRule], where: str) -> int:
    """Index of the first rule for a tensor.

    Raises:
        ConfigError: If there is none, or one for part of the tensor only.
    """
    for index, rule in enumerate(rules):
        if rule.where is None or rule.where.matches(*spot):
            if rule.where and rule.where.span:
                raise ConfigError.at(where, f"a span may cut {spot.name}, but mergekit merges whole tensors.")
            return index
    raise ConfigError.at(where, f"no rule is for {spot.name}, but mergekit merges all tensors. Add a rule at the end.")


def _default(found: Mapping[Spot, int], vectors: Mapping[str, _Vector], rules: Sequence[PipeRule]) -> _Vector:
    """The rules of most of the tensors that no rule names, in any layer; of most tensors where all are named."""
    named = {spot.halves[1] for spot, rule in found.items() if getattr(rules[rule].where, "names", None)}
    every = [vector for suffix, vector in vectors.items() if suffix not in named] or list(vectors.values())
    return max(dict.fromkeys(every), key=every.count)


def _wished(rules: Sequence[PipeRule]) -> list[str]:
    """Texts that the rules' own patterns look for."""
    patterns = [name for rule in rules if rule.where for name in rule.where.names or ()]
    return [text for pattern in patterns for text in pattern.split("*") if text and not set(text) & set("?[")]


def _by_filter(vectors: Mapping[str, _Vector], rest: _Vector, wished: Sequence[str]) -> list[Choice]:
    """Texts that set apart all tensors with other rules than the rest. The first that a name contains decides."""
    left = dict(vectors)
    parts = [part for suffix in left for part in suffix.split(".")]
    texts = list(dict.fromkeys([*wished, *parts, *left]))
    chosen: list[Choice] = []
    while set(left.values()) - {rest}:
        text, vector = next(
            (text, meant.pop())
            for text in texts
            if len(meant := {v for suffix, v in left.items() if text in suffix}) == 1 and meant != {rest}
        )
        chosen.append(Choice(text, vector))
        left = {suffix: v for suffix, v in left.items() if text not in suffix}
    return chosen
