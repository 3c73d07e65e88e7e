"""The base of route generators: what makes layers in an order out of genes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import pydantic

from evomerge.documents import Tree, Value, fault
from evomerge.recipe.route import Fault, Segment
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Scalar

Genes: TypeAlias = Mapping[str, Scalar]
"""Values of genes by name."""

Depths: TypeAlias = Mapping[str, int]
"""How many layers each blend and model has."""


def _checked(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise fault(f"[{ends[0]:g}, {ends[1]:g}] is no range of factors. Write [low, high] with low < high.")
    return ends


Factors: TypeAlias = Annotated[tuple[float, float], pydantic.AfterValidator(_checked)]
"""Least and largest factor on what a layer writes; its gene is logarithmic where all of them are above 0."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a generator made of genes, as plain data of a recipe.

    Attributes:
        route: The layers, at least one.
        blends: Blends that it takes layers from, beside those of the file.
        ends: What it adds to the ends of the file.
    """

    route: Sequence[Segment]
    blends: Mapping[str, Tree] = field(default_factory=dict)
    ends: Mapping[str, Tree] = field(default_factory=dict)


class RouteGenerator(Value, ABC):
    """A family of routes, one gene for each thing that varies. Every genome is a route.

    Attributes:
        use: Its name.
        sources: Blends and models that it takes layers from; `from` in a file.
    """

    use: str
    sources: Annotated[tuple[str, ...], pydantic.Field(alias="from", min_length=1)]

    @property
    def home(self) -> str:
        """The source of what lies outside the layers, where the file does not say."""
        return self.sources[0]

    @property
    def own_blends(self) -> tuple[str, ...]:
        """Names of the blends that it adds to those of the file."""
        return ()

    @abstractmethod
    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """What varies, for sources of so many layers."""

    @abstractmethod
    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """The route of some values, one for each gene."""

    @abstractmethod
    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """Why it does not suit sources of so many layers, each fault with its place in the route."""

    def _unlike(self, depths: Depths) -> Iterator[Fault]:
        """Sources of several depths, where layers of one number are to take each other's place."""
        known = {source: depths[source] for source in dict.fromkeys((self.home, *self.sources))}
        if len(set(known.values())) > 1:
            stated = ", ".join(f"{source} has {depth} layers" for source, depth in known.items())
            what = f"{stated}, but {self.use} puts layers of one number in each other's place"
            yield ("from",), f"{what}. Name sources of one depth, or use indicator or a list of segments."

    def _short(self, depths: Depths) -> Iterator[Fault]:
        """A first source whose first and last layer are one."""
        if depths[self.home] < 2:
            what = f"needs a first source of 2 layers or more, but {self.home} has 1"
            yield ("from",), f"{what}: the first begins the route and the last ends it."


def include_gene(name: str, *, neutral: bool) -> ChoiceGene:
    """Whether something takes part."""
    return ChoiceGene(name, (False, True), neutral=neutral)


def write_gene(name: str, factors: Factors) -> FloatGene:
    """A factor on what a layer writes."""
    low, high = factors
    return FloatGene(name, low, high, neutral=1.0 if low <= 1 <= high else None, scale="log" if low > 0 else "linear")


def segment(source: str, layer: int, write: Scalar = 1.0, read: float = 1.0) -> Segment:
    """One layer of a source."""
    return Segment.of(source, (layer, layer), float(write), read)
