"""The models of a mergekit file: where they lie, what they are called in a recipe, and whose tokenizer stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import TypeAlias

from evomerge.errors import ConfigError
from evomerge.recipe.mergekit.document import Input, MergekitDocument, Slice, Source
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.layout import Layout
from evomerge.recipe.mergekit.settings import Place

Locate: TypeAlias = Callable[[str, str], tuple[str, Layout]]
"""From a model's name in the file, and the key it stands at, to its folder and layout; raises ConfigError."""


def locate_all(places: Mapping[str, Place], locate: Locate, faults: Faults) -> dict[str, tuple[str, Layout]]:
    """Folder and layout of every model that is found, of an adapter its own folder and its model's layout.

    Models that only adapters stand on are among them. Those that are not found are added to `faults`.
    """
    located: dict[str, tuple[str, Layout]] = {}
    for model, place in places.items():
        whole, _, adapter = model.partition("+")
        try:
            if whole not in located:
                located[whole] = locate(whole, faults.at(place))
            if adapter:
                located[model] = locate(adapter, faults.at(place))[0], located[whole][1]
        except ConfigError as error:
            faults.include(error)
    return located


def places_of(document: MergekitDocument) -> dict[str, Place]:
    """Every model of the file and where it stands first; the base model comes first."""
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
