"""Reading mergekit's YAML: from a document to a recipe, or to all the reasons why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evomerge.documents import Tree, parse, suggestion
from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.blends import blends_of
from evomerge.recipe.mergekit.cuts import Cut, cuts_of, is_stack
from evomerge.recipe.mergekit.document import Input, MergekitDocument, Source
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.methods import FIXED, IDLE, KNOWN, METHODS, Method, Parameter
from evomerge.recipe.mergekit.models import Locate, locate_all, places_of, short_names, tokenizer_donor
from evomerge.recipe.mergekit.parameters import NotThatKind, typed
from evomerge.recipe.mergekit.resolver import Resolver
from evomerge.recipe.mergekit.settings import Conditions, Place
from evomerge.recipe.mergekit.stacks import route_through, stack_of
from evomerge.recipe.recipe import Recipe


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
    places = places_of(document)
    models = locate_all(places, locate, faults)
    layouts = {name: layout for name, (_, layout) in models.items()}
    cuts = cuts_of(document, layouts, method, faults)
    tokenizer = tokenizer_donor(document.tokenizer_from, document.base_model, layouts, document.tokenizer_key, faults)
    if not places.keys() <= models.keys():
        faults.raise_if_any()  # without a model's layers nothing more can be told
    spots = max((layouts[model] for cut in cuts for model in cut.models), key=lambda layout: layout.num_layers).spots
    resolver = Resolver(method, faults)
    if is_stack(cuts, layouts):
        blends = stack_of(cuts, spots, document.filters, resolver, seed)
    else:
        blends = blends_of(cuts, spots, document.filters, resolver, seed)
    faults.raise_if_any()
    names = short_names([*models], blends)
    recipe: dict[str, Tree] = {
        "models": {names[model]: _entry(model, path, names) for model, (path, _) in models.items()},
        "blends": {name: _renamed(blend, names) for name, blend in blends.items()},
        "dtype": document.out_dtype or document.dtype,
    }
    if is_stack(cuts, layouts):
        recipe |= route_through(blends, cuts, spots)
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


def _entry(model: str, path: str, names: Mapping[str, str]) -> dict[str, Tree]:
    whole, _, adapter = model.partition("+")
    return {"path": path} | ({"adapts": names[whole]} if adapter else {})


def _renamed(blend: dict[str, Tree], names: Mapping[str, str]) -> dict[str, Tree]:
    """The blend with models by their names in the recipe."""
    origin = {"origin": names[blend["origin"]]} if "origin" in blend else {}
    return {**blend, **origin, "experts": [names.get(expert, expert) for expert in blend["experts"]]}
