"""Route: the order of layers in the result, and which blend or model each is taken from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

import pydantic

from evomerge.documents import Value, fault, suggestion
from evomerge.recipe.where import Layers

if TYPE_CHECKING:
    from evomerge.recipe.recipe import Recipe

Fault: TypeAlias = tuple[tuple[str | int, ...], str]


class Segment(Value):
    """Neighbouring layers of one source, in their order.

    A block of a layer, which would make x + F(x) of the residual stream x, makes x + write · F(read · x). Both factors
    are folded into the weights, so that the result has ordinary layers.

    Attributes:
        source: Blend or model; `from` in a file.
        layers: First and last layer, both included; absent: all.
        write: What the layers add to the residual stream is multiplied by this; absent: 1. A layer with 0 adds
            nothing, and one with a negative factor takes away what it would have added.
        read: What the layers get of the residual stream is multiplied by this; absent: 1. Where they read it through a
            norm, they hear nothing of it but its sign.
    """

    source: str = pydantic.Field(alias="from")
    layers: Layers | None = None
    write: float | None = None
    read: float | None = None

    @property
    def write_factor(self) -> float:
        """The factor on what the layers write, spelt out."""
        return 1.0 if self.write is None else self.write

    @property
    def read_factor(self) -> float:
        """The factor on what the layers read, spelt out."""
        return 1.0 if self.read is None else self.read

    @classmethod
    def of(cls, source: str, layers: tuple[int, int] | None, write: float = 1.0, read: float = 1.0) -> Self:
        """A segment, with factors of 1 left out."""
        factors = {name: factor for name, factor in (("write", write), ("read", read)) if factor != 1.0}
        return cls.model_validate({"from": source, "layers": layers, **factors})


class Ends(Value):
    """Where what lies outside the layers comes from: a blend or a model each; absent: the recipe's result.

    Attributes:
        embeddings: Of the embeddings, and of a head that is tied to them.
        norm: Of the norm behind the last layer.
        head: Of the head, and of whatever else lies outside the layers.
        read: Factor on what the norm gets of the residual stream, of which it hears nothing but the sign; absent: 1.
    """

    embeddings: str | None = None
    norm: str | None = None
    head: str | None = None
    read: float | None = None

    @pydantic.field_validator("read")
    @classmethod
    def _sign(cls, read: float | None) -> float | None:
        if read not in (None, 1.0, -1.0):
            raise fault(f"{read:g} is neither 1 nor -1. The last norm hears a sign and no more.")
        return read

    @property
    def sources(self) -> dict[str, str | None]:
        """Where each comes from, by its name."""
        return {"embeddings": self.embeddings, "norm": self.norm, "head": self.head}


class Hop(NamedTuple):
    """One layer of the result: which layer of which source it is, and the factors on what it writes and reads."""

    source: str
    layer: int
    write: float = 1.0
    read: float = 1.0


Route: TypeAlias = tuple[Segment, ...]


def hops_of(route: Iterable[Segment], depths: Mapping[str, int]) -> tuple[Hop, ...]:
    """The layers of a route one by one.

    Args:
        route: Of a recipe.
        depths: How many layers each of its sources has.
    """
    return tuple(
        Hop(segment.source, layer, segment.write_factor, segment.read_factor)
        for segment in route
        for first, last in [segment.layers or (0, depths[segment.source] - 1)]
        for layer in range(first, last + 1)
    )


def joined(segments: Iterable[Segment]) -> Route:
    """The same route with segments that follow each other in one source, under the same factors, made one."""
    kept: list[Segment] = []
    for segment in segments:
        last = kept[-1] if kept else None
        if last and (together := _together(last, segment)):
            kept[-1] = last.model_copy(update={"layers": together})
        else:
            kept.append(segment)
    return tuple(kept)


def _together(last: Segment, segment: Segment) -> tuple[int, int] | None:
    """The layers of both, where the second goes on with what the first began."""
    is_alike = (last.source, last.write, last.read) == (segment.source, segment.write, segment.read)
    if not is_alike or last.layers is None or segment.layers is None or last.layers[1] + 1 != segment.layers[0]:
        return None
    return last.layers[0], segment.layers[1]


def route_faults(recipe: Recipe) -> Iterator[Fault]:
    """Sources of a recipe's route and ends that do not exist, each fault with its place."""
    known = [*recipe.models, *recipe.blends]
    if not recipe.blends and recipe.route is None:
        yield ("blends",), "there are none. Name a blend, or say by a route which layers of which models to take."
    if recipe.route is not None and not recipe.route:
        yield ("route",), "has no segment. Name at least one, or leave the route out."
    for index, segment in enumerate(recipe.route or ()):
        if segment.source not in known:
            yield ("route", index, "from"), _unknown(segment.source, known)
    for name, source in (recipe.ends or Ends()).sources.items():
        if source is not None and source not in known:
            yield ("ends", name), _unknown(source, known)


def depth_faults(recipe: Recipe) -> Iterator[Fault]:
    """Layers of a route that do not exist, as far as the models' depths are known. Its sources must exist."""
    for index, segment in enumerate(recipe.route or ()):
        depth = depth_of(recipe, segment.source)
        if depth is not None and segment.layers and segment.layers[1] >= depth:
            what = f"layer {segment.layers[1]} does not exist: the last layer of {segment.source} is {depth - 1}."
            yield ("route", index, "layers"), what


def depth_of(recipe: Recipe, source: str) -> int | None:
    """How many layers a blend or model has; None while its model was not opened."""
    name = recipe.donor_of(source)
    return recipe.models[name].layers if name in recipe.models else None


def kin_of(recipe: Recipe) -> list[set[str]]:
    """Models that are merged tensor by tensor, group by group: those that a route alone joins stand apart."""
    if recipe.route is None:
        return [{*recipe.models}]
    blends = ({name, *blend.experts, blend.origin or name} for name, blend in recipe.blends.items())
    adapters = ({name, model.adapts or name} for name, model in recipe.models.items())
    groups = (group & {*recipe.models} for group in joint([*blends, *adapters]))
    return [group for group in groups if group]


def joint(groups: Iterable[Collection[str]]) -> list[set[str]]:
    """The same names in groups that share none, those that shared one made one."""
    apart: list[set[str]] = []
    for group in groups:
        touched = [other for other in apart if not other.isdisjoint(group)]
        apart = [other for other in apart if other not in touched] + [{*group}.union(*touched)]
    return apart


def _unknown(source: str, known: Sequence[str]) -> str:
    return f'"{source}" is neither a model nor a blend. {suggestion(source, known)}'
