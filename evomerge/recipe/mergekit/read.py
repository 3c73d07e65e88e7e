"""Reading mergekit's YAML: from a document to a recipe, or to all the reasons why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeAlias

from evomerge.documents import Tree, parse, suggestion
from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.cuts import Cut, cuts_of
from evomerge.recipe.mergekit.document import Input, MergekitDocument, Slice, Source
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.layout import Layout
from evomerge.recipe.mergekit.methods import FIXED, IDLE, KNOWN, METHODS, Method, Parameter
from evomerge.recipe.mergekit.parameters import NotThatKind, typed
from evomerge.recipe.mergekit.rules import Region, Resolver, regions
from evomerge.recipe.mergekit.settings import Conditions, Place
from evomerge.recipe.recipe import Recipe

Locate: TypeAlias = Callable[[str, str], tuple[str, Layout]]
"""From a model's name in the file, and the key it stands at, to its folder and layout; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mergekit file says.

    Attributes:
        recipe: The same merge.
        remarks: What in the file has no effect, in mergekit as here, each with its key.
    """

    recipe: Recipe
    remarks: tuple[str, ...]


def read_mergekit(tree: Tree, where: str, locate: Locate, seed: int = 0) -> Reading:
    """Read a mergekit file.

    Args:
        tree: Its plain data.
        where: Its name, for messages.
        locate: Finds models on disk.
        seed: Of the random gates; mergekit takes it on its command line.

    Raises:
        ConfigError: With all that is wrong or cannot be reproduced, by key.
    """
    document = parse(MergekitDocument, tree, where)
    faults = Faults(where)
    method = METHODS.get(document.merge_method)
    if method is None:
        what = f'"{document.merge_method}" is no method of mergekit. {suggestion(document.merge_method, METHODS)}'
        raise ConfigError.at(faults.at(("merge_method",)), what)
    _check_parameters(document, method, faults)
    faults.raise_if_any()
    models = _locate_all(document, locate, faults)
    layouts = {name: layout for name, (_, layout) in models.items()}
    cuts = cuts_of(document, layouts, method, faults)
    tokenizer = tokenizer_donor(document.tokenizer_from, document.base_model, layouts, document.tokenizer_key, faults)
    if len(models) < len(_places(document)):
        faults.raise_if_any()  # without a model's layers nothing more can be told
    blends = _blends(cuts, layouts, method, document, seed, faults)
    faults.raise_if_any()
    names = short_names([*models], blends)
    recipe: dict[str, Tree] = {
        "models": {names[model]: {"path": path} for model, (path, _) in models.items()},
        "blends": {name: _renamed(blend, names) for name, blend in blends.items()},
        "dtype": document.out_dtype or document.dtype,
    }
    if tokenizer:
        recipe["tokenizer"] = {"from": names[tokenizer]}
    return Reading(parse(Recipe, recipe, where), tuple(_remarks(document, method, cuts, faults)))


def _check_parameters(document: MergekitDocument, method: Method, faults: Faults) -> None:
    """Names and kinds of all parameters."""
    for place, section in document.sections():
        for name, conditions in section.parameters.items():
            here = (*place, "parameters", name)
            if name in FIXED:
                faults.add(here, f"{FIXED[name]}. Drop it.")
            elif name not in KNOWN:
                words = sorted({*method.parameters, *IDLE})
                faults.add(here, f'"{name}" is no parameter of {document.merge_method}. {suggestion(name, words)}')
            elif name in method.parameters:
                _check_kinds(conditions, method.parameters[name], here, faults)


def _check_kinds(conditions: Conditions, parameter: Parameter, place: Place, faults: Faults) -> None:
    for condition in conditions:
        for value in condition.values:
            try:
                typed(value, parameter.kind)
            except NotThatKind as error:
                faults.add((*place, *condition.place), str(error))


def _remarks(document: MergekitDocument, method: Method, cuts: Sequence[Cut], faults: Faults) -> Iterator[str]:
    """Settings without effect."""
    of_base = {
        place
        for cut in cuts
        for model, (place, _) in zip(cut.models, cut.own, strict=True)
        if model == cut.base and method.base != "input"
    }
    for place, section in document.sections():
        for name in section.parameters:
            key = faults.at((*place, "parameters", name))
            if name not in method.parameters and name not in IDLE:
                yield f"{key}: has no effect on {document.merge_method}."
            elif isinstance(section, Input | Source) and name in method.shared:
                yield f"{key}: has no effect on one model; {name} belongs to a slice or to the whole file."
            elif (*place, "parameters") in of_base:
                yield f"{key}: has no effect on the base model."


def _locate_all(document: MergekitDocument, locate: Locate, faults: Faults) -> dict[str, tuple[str, Layout]]:
    """Folder and layout of every model of the file, the base first."""
    located: dict[str, tuple[str, Layout]] = {}
    for model, place in _places(document).items():
        try:
            located[model] = locate(model, faults.at(place))
        except ConfigError as error:
            faults.include(error)
    return located


def _places(document: MergekitDocument) -> dict[str, Place]:
    """Every model of the file and where it stands first."""
    found: list[tuple[str | None, Place]] = []
    for place, section in document.sections():
        if isinstance(section, MergekitDocument | Slice):
            found.append((section.base_model, (*place, "base_model")))
        if isinstance(section, Input | Source):
            found.append((section.model, (*place, "model")))
    if document.tokenizer_from not in ("base", "union"):
        found.append((document.tokenizer_from, document.tokenizer_key))
    places: dict[str, Place] = {}
    for model, place in found:
        if model is not None:
            places.setdefault(model, place)
    return places


def tokenizer_donor(
    source: str | None, base: str | None, layouts: Mapping[str, Layout], place: Place, faults: Faults
) -> str | None:
    """The model whose tokenizer the result takes; None for that of the model which gives the config.

    Where every model has all tokens of the result at the same places, bringing vocabularies together changes nothing.
    Elsewhere rows of embeddings would have to move, which is added to `faults`.

    Args:
        source: `base`, `union` or a model; None where the file does not say.
        base: The base model, if there is one.
        layouts: Of all models; one without a vocabulary is taken to have that of the others, as mergekit takes it.
        place: Where the source stands.
        faults: Where problems go.
    """
    if source is None:
        return None
    known = {model: layout.vocabulary for model, layout in layouts.items() if layout.vocabulary is not None}
    donor = base if source in ("base", "union") else source
    wanted = [vocabulary for model, vocabulary in known.items() if source == "union" or model == donor]
    for model, vocabulary in known.items():
        if not all(needed.items() <= vocabulary.items() for needed in wanted):
            what = f'"{source}" takes tokens that {model} lacks or has at other places.'
            faults.add(place, f"{what} Rows of embeddings are not moved here; use models that share a vocabulary.")
    if source == "base" and base is None:
        faults.add(place, '"base" needs a base_model. Name the model whose tokenizer you want.')
    return donor


def _blends(
    cuts: Sequence[Cut],
    layouts: Mapping[str, Layout],
    method: Method,
    document: MergekitDocument,
    seed: int,
    faults: Faults,
) -> dict[str, dict[str, Tree]]:
    """One blend per set of models, and a last one that picks among them where there are several."""
    resolver = Resolver(method, faults)
    groups: dict[tuple[str | None, tuple[str, ...]], list[Cut]] = {}
    for cut in cuts:
        groups.setdefault((cut.base, cut.models), []).append(cut)
    spots = layouts[cuts[0].models[0]].spots
    filters = [c.filter for _, s in document.sections() for cs in s.parameters.values() for c in cs if c.filter]
    blends: dict[str, dict[str, Tree]] = {}
    acting: list[list[Region]] = []
    for number, ((base, _), members) in enumerate(groups.items(), start=1):
        acting.append(regions(members, cuts, spots, filters, resolver))
        is_origin = method.base in ("origin", "optional origin")
        blends["merged" if len(groups) == 1 else f"part {number}"] = {
            "origin": base if is_origin else None,
            "experts": list(resolver.experts(members[0])),
            "seed": seed,
            "rules": [rule for region in acting[-1] for rule in region.trees()],
        }
    if len(groups) > 1:
        blends["merged"] = _picking(blends, list(groups.values()), cuts)
    return blends


def _picking(blends: Mapping[str, Tree], groups: Sequence[Sequence[Cut]], cuts: Sequence[Cut]) -> dict[str, Tree]:
    """A blend that takes every tensor from the part that it belongs to, as it is."""

    def taking(cut: Cut) -> list[dict[str, Tree]]:
        return [{"origin": "zero"}, {"weigh": [float(cut in members) for members in groups]}]

    rules: list[dict[str, Tree]] = [{"where": {"layers": list(cut.layers)}, "pipe": taking(cut)} for cut in cuts]
    rules.append({"where": {"roles": ["embedding"]}, "pipe": taking(cuts[0])})
    return {"experts": list(blends), "rules": [*rules, {"pipe": taking(cuts[-1])}]}


def short_names(models: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """The last part of every model's path, told apart by numbers where that is not enough.

    Args:
        models: As the file names them.
        taken: Names that are something else's.
    """
    used = set(taken)
    names: dict[str, str] = {}
    for model in models:
        stem = PurePath(model).name or model
        names[model] = next(text for text in _candidates(stem) if text not in used)
        used.add(names[model])
    return names


def _candidates(stem: str) -> Iterator[str]:
    yield stem
    number = 1
    while True:
        number += 1
        yield f"{stem} {number}"


def _renamed(blend: dict[str, Tree], names: Mapping[str, str]) -> dict[str, Tree]:
    renamed = {**blend, "experts": [names.get(expert, expert) for expert in blend["experts"]]}
    origin = blend.get("origin")
    return {
        name: part
        for name, part in (renamed | {"origin": names[origin] if origin else None}).items()
        if part is not None
    }
