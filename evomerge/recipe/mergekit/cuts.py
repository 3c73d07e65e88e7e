"""Cuts: a mergekit file in the one form that all of its forms come down to, layers and what each is merged from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evomerge.documents import shown
from evomerge.recipe.mergekit.document import MergekitDocument, Module, Slice
from evomerge.recipe.mergekit.faults import Faults
from evomerge.recipe.mergekit.layout import Layout
from evomerge.recipe.mergekit.methods import Method
from evomerge.recipe.mergekit.parameters import Scopes
from evomerge.recipe.mergekit.settings import Place, Settings

_MISPLACED = "Only layers of one number can be merged. Use mergekit for this file."


@dataclass(frozen=True, slots=True)
class Cut:
    """Neighbouring layers that are merged from the same models under the same settings.

    Attributes:
        layers: First and last, both included.
        base: The base model, if there is one.
        models: All models in mergekit's order, the base among them.
        own: Place and settings of each model.
        common: Scopes of parameters that no model has for itself: slice, module, whole file.
        place: Of the slice; of `models` where the file has no slices.
    """

    layers: tuple[int, int]
    base: str | None
    models: tuple[str, ...]
    own: tuple[tuple[Place, Settings], ...]
    common: Scopes
    place: Place

    def scopes(self, model: str) -> Scopes:
        """The scopes of a model's parameters, the nearest first."""
        return (self.own[self.models.index(model)], *self.common)

    def t(self, layer: int) -> float:
        """Where a layer stands in the gradients of the cut, from 0 to 1."""
        first, last = self.layers
        return (layer - first) / (last - first) if last > first else 1.0


def cuts_of(document: MergekitDocument, layouts: Mapping[str, Layout], method: Method, faults: Faults) -> list[Cut]:
    """The cuts of a file from the result's first layer to its last. What does not fit is added to `faults`.

    Args:
        document: The file.
        layouts: Of all of its models.
        method: Its merge method.
        faults: Where problems go.
    """
    section, place, scopes = _section(document, faults)
    if section.slices:
        cuts = list(_sliced(document, section.slices, (*place, "slices"), scopes, layouts, faults))
    else:
        cuts = _whole(document, section, place, scopes, layouts, faults)
    for cut in cuts:
        _check_contract(cut, method, faults)
    return cuts


def _section(document: MergekitDocument, faults: Faults) -> tuple[MergekitDocument | Module, Place, Scopes]:
    """Where models or slices stand, and the scopes around them."""
    widest = (("parameters",), document.parameters)
    if not document.modules:
        return document, (), (widest,)
    names = list(document.modules)
    for name in names[1:]:
        what = f'"{name}" and "{names[0]}" are parts of a network that is merged in parts. Merge models of one part.'
        faults.add(("modules", name), what)
    place: Place = ("modules", names[0])
    module = document.modules[names[0]]
    return module, place, (((*place, "parameters"), module.parameters), widest)


def _whole(
    document: MergekitDocument,
    section: MergekitDocument | Module,
    place: Place,
    scopes: Scopes,
    layouts: Mapping[str, Layout],
    faults: Faults,
) -> list[Cut]:
    inputs = section.models or ()
    models = [entry.model for entry in inputs]
    own: list[tuple[Place, Settings]] = [
        ((*place, "models", index, "parameters"), entry.parameters) for index, entry in enumerate(inputs)
    ]
    if document.base_model and document.base_model not in models:
        models.append(document.base_model)
        own.append((("base_model",), {}))
    depths = {model: layouts[model].num_layers for model in models if model in layouts}
    if len(set(depths.values())) > 1:
        known = ", ".join(f"{model} has {depth}" for model, depth in depths.items())
        faults.add(
            (*place, "models"), f"the models differ in their number of layers: {known}. Merge models of one depth."
        )
    last = min(depths.values(), default=1) - 1
    return [Cut((0, last), document.base_model, tuple(models), tuple(own), scopes, (*place, "models"))]


def _sliced(
    document: MergekitDocument,
    slices: tuple[Slice, ...],
    place: Place,
    scopes: Scopes,
    layouts: Mapping[str, Layout],
    faults: Faults,
) -> Iterator[Cut]:
    for index, entry in enumerate(slices):
        here: Place = (*place, index)
        ranges = [source.layer_range for source in entry.sources]
        for number, source in enumerate(entry.sources):
            first, end = source.layer_range
            spot: Place = (*here, "sources", number, "layer_range")
            depth = layouts[source.model].num_layers if source.model in layouts else end
            if not 0 <= first < end <= depth:
                what = f"[{first}, {end}] is no range of the {depth} layers of {source.model}."
                faults.add(spot, f"{what} Write [first, last + 1].")
            elif source.layer_range != ranges[0]:
                what = f"[{first}, {end}] is merged with {list(ranges[0])}, layers of other places."
                faults.add(spot, f"{what} {_MISPLACED}")
        own = tuple(
            ((*here, "sources", number, "parameters"), source.parameters) for number, source in enumerate(entry.sources)
        )
        models = tuple(source.model for source in entry.sources)
        common = (((*here, "parameters"), entry.parameters), *scopes)
        layers = (ranges[0][0], ranges[0][1] - 1)
        yield Cut(layers, entry.base_model or document.base_model, models, own, common, here)


def is_stack(cuts: Sequence[Cut], layouts: Mapping[str, Layout]) -> bool:
    """Whether cuts put layers in another order, repeat some, leave some out, or name models of several depths."""
    layers = [layer for cut in cuts for layer in range(cut.layers[0], cut.layers[1] + 1)]
    depths = {layouts[model].num_layers for cut in cuts for model in cut.models if model in layouts} or {len(layers)}
    return len(depths) > 1 or layers != [*range(*depths)]


def _check_contract(cut: Cut, method: Method, faults: Faults) -> None:
    """How many models a method takes, and whether it needs a base."""
    if twice := [model for index, model in enumerate(cut.models) if model in cut.models[:index]]:
        faults.add(cut.place, f"names {twice[0]} twice. Name each model once.")
    if cut.base is None and method.base in ("origin", "first"):
        faults.add(("base_model",), "is missing. This method measures from a base model; name it.")
    if cut.base is not None and cut.base not in cut.models and method.base != "input":
        faults.add(cut.place, f"the base model {cut.base} is not among the sources. Add it with the same layer_range.")
    is_alone = method.base == "input" or cut.base is None
    counted = [model for model in cut.models if is_alone or model != cut.base]
    fewest, most = method.num_others
    if len(counted) < fewest or (most is not None and len(counted) > most):
        besides = "" if is_alone else " beside the base"
        wanted = f"{fewest} or more" if most is None else str(fewest)
        faults.add(cut.place, f"{len(counted)} models {shown(counted)}{besides}, but this method takes {wanted}.")
