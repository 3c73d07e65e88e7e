"""Writing mergekit's YAML: a recipe as one file for `mergekit-yaml`, or the reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.documents import Tree
from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.choices import Choice, choices_of
from evomerge.recipe.mergekit.layout import Layout
from evomerge.recipe.mergekit.methods import METHODS, Method, Parameter
from evomerge.recipe.mergekit.shares import Share, shares_of
from evomerge.recipe.mergekit.spelling import Values, Work, common_method
from evomerge.recipe.mergekit.text import yaml_text
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.recipe import Blend, Recipe
from evomerge.recipe.stages import StageValue, TopGate


def write_mergekit(recipe: Recipe, layout: Layout, where: str) -> str:
    """A recipe as mergekit's YAML.

    Args:
        recipe: What to write.
        layout: Of its models.
        where: Its file's name, for messages.

    Raises:
        ConfigError: If mergekit cannot do the same.
    """
    shares = shares_of(recipe.canonical, layout, where)
    works = [([rule.pipe for rule in share.rules], share.blend) for share in shares]
    spelt = common_method(works)
    if spelt is None:
        place = f"blends.{recipe.result}" if recipe.canonical.route is None else "route"
        raise ConfigError.at(f"{where}: {place}", _why_not(works))
    name, values = spelt
    method = METHODS[name]
    parts = [_part(recipe, share, method, each, where) for share, each in zip(shares, values, strict=True)]
    note = f"# Recipe {recipe.digest[:12]} of evomerge.\n"
    if any(stage.is_stochastic for share in shares for rule in share.rules for stage in rule.pipe):
        note += "# mergekit draws other random numbers, so that this is the same method with another draw.\n"
    is_whole = len(parts) == 1 and recipe.canonical.route is None
    tree = _whole(recipe, name, parts[0]) if is_whole else _sliced(recipe, name, shares, parts, where)
    return note + yaml_text(tree)


def _why_not(works: Sequence[Work]) -> str:
    """Why no method of mergekit does this, and what would be near enough to have one."""
    trimmed = [([tuple(map(_trimmed, pipe)) for pipe in pipes], blend) for pipes, blend in works]
    if found := common_method(trimmed):
        what = f'mergekit\'s {found[0]} does this but for entries of equal magnitude, all of which "gate: top" keeps'
        return f'{what}. Add "ties: first" to it, or use {METHODS[found[0]].preset}, which keep as many as mergekit.'
    return "no one method of mergekit does what all of these rules do. mergekit has one method per file."


def _trimmed(stage: StageValue) -> StageValue:
    return stage.model_copy(update={"ties": "first"}) if isinstance(stage, TopGate) else stage


def _part(recipe: Recipe, share: Share, method: Method, values: Sequence[Values], where: str) -> dict[str, Tree]:
    """Base, models with their own parameters, and the parameters that they share."""
    blend = share.blend
    choices = choices_of(share.rules, share.spots, f"{where}: blends.{share.name}.rules")

    def own(index: int) -> dict[str, Tree]:
        of_one = [{field: _of_expert(value, index) for field, value in rule.items()} for rule in values]
        return _parameters(method.each, method.preset, of_one, choices)

    base = _base(blend, method)
    models = [
        {"model": _reference(recipe, expert)} | _given(parameters=own(index))
        for index, expert in enumerate(blend.experts)
    ]
    return {
        "base_model": _reference(recipe, base) if base else None,
        "models": models,
        "parameters": _parameters(method.shared, method.preset, values, choices),
    }


def _reference(recipe: Recipe, name: str) -> str:
    """A model's folder; an adapter's behind that of the model it adapts."""
    model = recipe.models[name]
    return f"{recipe.models[model.adapts].path}+{model.path}" if model.adapts else model.path


def _base(blend: Blend, method: Method) -> str | None:
    return blend.experts[0] if method.base == "first" else blend.origin


def _whole(recipe: Recipe, name: str, part: dict[str, Tree]) -> dict[str, Tree]:
    return {"merge_method": name} | _given(**part) | _ends(recipe)


def _sliced(
    recipe: Recipe, name: str, shares: Sequence[Share], parts: Sequence[dict[str, Tree]], where: str
) -> dict[str, Tree]:
    base = parts[0]["base_model"]
    slices = []
    for share, part in zip(shares, parts, strict=True):
        if base and not part["base_model"]:
            what = "has no origin, but another part has one. mergekit measures all from a base or none."
            raise ConfigError.at(f"{where}: blends.{share.name}", what)
        models = {model["model"]: model for model in part["models"]}
        if part["base_model"]:
            models.setdefault(part["base_model"], {"model": part["base_model"]})
        layers = {"layer_range": [share.layers[0], share.layers[1] + 1]}
        sources = [{"model": path} | layers | model for path, model in models.items()]
        other = part["base_model"] if part["base_model"] != base else None
        slices.append({"sources": sources} | _given(base_model=other, parameters=part["parameters"]))
    return {"merge_method": name} | _given(base_model=base) | {"slices": slices} | _ends(recipe)


def _ends(recipe: Recipe) -> dict[str, Tree]:
    tokenizer = recipe.models[recipe.tokenizer.source].path if recipe.tokenizer else None
    return _given(dtype=recipe.dtype and "float32", out_dtype=recipe.dtype, tokenizer_source=tokenizer)


def _given(**parts: Tree) -> dict[str, Tree]:
    """Those that say something."""
    return {name: part for name, part in parts.items() if part}


def _of_expert(value: Tree, index: int) -> Tree:
    return value[index] if isinstance(value, list | tuple) else value


def _parameters(
    parameters: Mapping[str, Parameter], preset: str, values: Sequence[Values], choices: Sequence[Choice]
) -> dict[str, Tree]:
    """Settings by mergekit's names, without those that are mergekit's own."""
    settings: dict[str, Tree] = {}
    for name, parameter in parameters.items():
        default = PRESETS[preset].model_fields[parameter.field].default
        each = [rule.get(parameter.field, default) for rule in values]
        if parameter.is_required or any(value != default for value in each):
            settings[name] = _setting([(choice.filter, [each[rule] for rule in choice.rules]) for choice in choices])
    return settings


def _gradient(values: list[Any]) -> list[Any]:
    """Points that give each layer its value.

    mergekit rounds a layer's place among truth values down, and may fall one short; so each value stands twice.
    """
    return [value for value in values for _ in range(2)][1:] if isinstance(values[0], bool) else values


def _setting(points: Sequence[tuple[str | None, list[Any]]]) -> Tree:
    """A number, a gradient with a point per layer, or these with filters."""
    plain = [(text, values[0] if len(set(values)) == 1 else _gradient(values)) for text, values in points]
    while len(plain) > 1 and plain[-2][1] == plain[-1][1]:
        del plain[-2]
    if len(plain) == 1:
        return plain[0][1]
    return [({"filter": text} if text else {}) | {"value": value} for text, value in plain]
