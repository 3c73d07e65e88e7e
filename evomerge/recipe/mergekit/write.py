"""Writing mergekit's YAML: a recipe as one file for `mergekit-yaml`, or the reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from evomerge.documents import Tree
from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.layout import Layout, Spot
from evomerge.recipe.mergekit.methods import METHODS, Parameter
from evomerge.recipe.mergekit.spelling import Values, common_method
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.recipe import Blend, PipeRule, Recipe

_Vector: TypeAlias = tuple[int, ...]
"""Index of the rule that acts in each layer."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which rules act on the tensors whose names contain a text; None for all that is left."""

    filter: str | None
    rules: _Vector


def write_mergekit(recipe: Recipe, layout: Layout, where: str) -> str:
    """A recipe as mergekit's YAML.

    Args:
        recipe: What to write.
        layout: Of its models.
        where: Its file's name, for messages.

    Raises:
        ConfigError: If mergekit cannot do the same.
    """
    canonical = recipe.canonical
    if len(canonical.blends) > 1:
        raise ConfigError.at(f"{where}: blends", "a mergekit file holds one merge. Export the inner blends first.")
    (blend,) = canonical.blends.values()
    rules = [rule for rule in blend.rules if isinstance(rule, PipeRule)]
    spelt = common_method([rule.pipe for rule in rules], blend)
    if spelt is None:
        what = "no one method of mergekit does what all of these rules do"
        raise ConfigError.at(f"{where}: blends.{recipe.result}", f"{what}. mergekit has one method per file.")
    choices = _choices(rules, layout, f"{where}: blends.{recipe.result}.rules")
    tree = _tree(recipe, blend, *spelt, choices)
    note = f"# Recipe {recipe.digest[:12]} of evomerge.\n"
    if any(stage.is_stochastic for rule in rules for stage in rule.pipe):
        note += "# mergekit draws other random numbers, so that this is the same method with another draw.\n"
    return note + yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _tree(recipe: Recipe, blend: Blend, name: str, values: Sequence[Values], choices: Sequence[_Choice]) -> Tree:
    method = METHODS[name]
    base = blend.experts[0] if method.base == "first" else blend.origin

    def path(model: str) -> str:
        return recipe.models[model].path

    def own(index: int) -> dict[str, Tree]:
        of_one = [{field: _of_expert(value, index) for field, value in rule.items()} for rule in values]
        return _parameters(method.each, method.preset, of_one, choices)

    models = [{"model": path(expert), "parameters": own(index)} for index, expert in enumerate(blend.experts)]
    tree: dict[str, Tree] = {
        "merge_method": name,
        "base_model": path(base) if base else None,
        "models": [{key: part for key, part in model.items() if part} for model in models],
        "parameters": _parameters(method.shared, method.preset, values, choices),
        "dtype": recipe.dtype and "float32",
        "out_dtype": recipe.dtype,
        "tokenizer_source": path(recipe.tokenizer.source) if recipe.tokenizer else None,
    }
    return {key: part for key, part in tree.items() if part}


def _of_expert(value: Tree, index: int) -> Tree:
    return value[index] if isinstance(value, list | tuple) else value


def _parameters(
    parameters: Mapping[str, Parameter], preset: str, values: Sequence[Values], choices: Sequence[_Choice]
) -> dict[str, Tree]:
    """Settings by mergekit's names, without those that are mergekit's own."""
    settings: dict[str, Tree] = {}
    for name, parameter in parameters.items():
        default = PRESETS[preset].model_fields[parameter.field].default
        each = [rule.get(parameter.field, default) for rule in values]
        if parameter.is_required or any(value != default for value in each):
            settings[name] = _setting([(choice.filter, [each[rule] for rule in choice.rules]) for choice in choices])
    return settings


def _setting(points: Sequence[tuple[str | None, list[Any]]]) -> Tree:
    """A number, a gradient with a point per layer, or these with filters."""
    plain = [(text, values[0] if len(set(values)) == 1 else values) for text, values in points]
    while len(plain) > 1 and plain[-2][1] == plain[-1][1]:
        del plain[-2]
    if len(plain) == 1:
        return plain[0][1]
    return [({"filter": text} if text else {}) | {"value": value} for text, value in plain]


def _choices(rules: Sequence[PipeRule], layout: Layout, where: str) -> list[_Choice]:
    """Filters under which every tensor finds its rule in every layer.

    mergekit merges the tensors outside the layers under the first points of the gradients. Those whose rule is
    another one get a filter of their own.
    """
    found = {spot: _rule_of(spot, rules, where) for spot in layout.spots}
    vectors = _vectors(found)
    rest = _default(found, vectors, rules)
    choices = [*_by_filter(vectors, rest, _wished(rules)), _Choice(None, rest)]
    outside = {spot.name: rule for spot, rule in found.items() if spot.layer is None}
    strays = {name: rule for name, rule in outside.items() if _chosen(choices, name).rules[0] != rule}
    choices = [*(_Choice(name, (rule,) * layout.num_layers) for name, rule in strays.items()), *choices]
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


def _chosen(choices: Sequence[_Choice], name: str) -> _Choice:
    return next(choice for choice in choices if choice.filter is None or choice.filter in name)


def _check(choices: Sequence[_Choice], found: Mapping[Spot, int], where: str) -> None:
    """That the filters lead every tensor to its rule."""
    for spot, rule in found.items():
        if _chosen(choices, spot.name).rules[spot.layer or 0] != rule:
            raise ConfigError.at(where, f"no filter of mergekit's tells {spot.name} from the others. Drop its rule.")


def _rule_of(spot: Spot, rules: Sequence[PipeRule], where: str) -> int:
    for index, rule in enumerate(rules):
        if rule.where is None or rule.where.matches(*spot):
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


def _by_filter(vectors: Mapping[str, _Vector], rest: _Vector, wished: Sequence[str]) -> list[_Choice]:
    """Texts that set apart all tensors with other rules than the rest. The first that a name contains decides."""
    left = dict(vectors)
    parts = [part for suffix in left for part in suffix.split(".")]
    texts = list(dict.fromkeys([*wished, *parts, *left]))
    chosen: list[_Choice] = []
    while set(left.values()) - {rest}:
        text, vector = next(
            (text, meant.pop())
            for text in texts
            if len(meant := {v for suffix, v in left.items() if text in suffix}) == 1 and meant != {rest}
        )
        chosen.append(_Choice(text, vector))
        left = {suffix: v for suffix, v in left.items() if text not in suffix}
    return chosen


class _Dumper(yaml.SafeDumper):
    """Lists of numbers stand on one line."""

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        is_flat = all(isinstance(part, int | float) for part in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=is_flat)


_Dumper.add_representer(list, _Dumper.represent_list)
