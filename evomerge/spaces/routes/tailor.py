"""`tailor`: layers removed, and each that is left selected from one source or merged from several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pydantic

from evomerge.documents import Tree
from evomerge.recipe.route import Fault, Segment, joined
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, IntGene
from evomerge.spaces.routes.base import Depths, Drawn, Factors, Genes, RouteGenerator, include_gene, segment, write_gene

_BLEND = "tailored"


class Tailor(RouteGenerator):
    """GPTailor's space (2506.20480, 3) with typed genes.

    Attributes:
        remove: How many layers are removed, or `any`: each layer may be.
        select: `one` takes each layer from one source. `some` lets every source enter it or not: none leaves the
            origin's layer, one its own, more are merged by task arithmetic on the origin with a factor per layer.
        origin: Of task vectors, and the source of what lies outside the layers; absent: the first source.
        factor: Range of the factor of task arithmetic.
        write: Range of the factors on what layers write, in place of the published ones on what leaves them; absent:
            they stay 1.
    """

    use: Literal["tailor"] = "tailor"
    remove: pydantic.NonNegativeInt | Literal["any"] = 0
    select: Literal["one", "some"] = "one"
    origin: str | None = None
    factor: tuple[float, float] = (0.0, 1.0)
    write: Factors | None = None

    @property
    def home(self) -> str:
        """The origin."""
        return self.origin or self.sources[0]

    @property
    def own_blends(self) -> tuple[str, ...]:
        """The blend of the layers that several sources enter."""
        return (_BLEND,) if self.select == "some" else ()

    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """Which layers are removed; then, layer by layer, what each is made of, and its factor."""
        num_layers = depths[self.home]
        return (*self._removal_genes(num_layers), *(g for layer in range(num_layers) for g in self._layer_genes(layer)))

    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """The layers that are left, each from where it is selected."""
        kept = self._kept(values, depths[self.home])
        route = joined(self._segment(values, layer) for layer in kept)
        if self.select == "one":
            return Drawn(route)
        rules: list[Tree] = [
            {"where": {"layers": [layer, layer]}, "pipe": [{"weigh": self._weights(values, layer)}, {"reduce": "sum"}]}
            for layer in kept
            if len(self._entering(values, layer)) > 1
        ]
        nothing: Tree = {"pipe": [{"weigh": [0.0] * len(self.sources)}, {"reduce": "sum"}]}
        blend: Tree = {"origin": self.home, "experts": [*self.sources], "rules": [*rules, nothing]}
        return Drawn(route, {_BLEND: blend})

    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """Sources of several depths, and more layers to remove than may be."""
        yield from self._unlike(depths)
        if self.remove != "any" and self.remove >= (num_layers := depths[self.home]):
            what = f"removes {self.remove} layers, but the models have {num_layers}"
            yield ("remove",), f"{what}. Remove {num_layers - 1} or fewer."

    def _removal_genes(self, num_layers: int) -> list[Gene]:
        if self.remove == "any":
            return [include_gene(f"route/layer {layer}/include", neutral=True) for layer in range(num_layers)]
        return [IntGene(f"route/removed {n + 1}", 0, num_layers - 1 - n, neutral=None) for n in range(self.remove)]

    def _kept(self, values: Genes, num_layers: int) -> list[int]:
        """Layers that are left. A removal counts those that the ones before left, so that none is removed twice."""
        left = [*range(num_layers)]
        if self.remove == "any":
            return [layer for layer in left if values[f"route/layer {layer}/include"]] or left[:1]
        for number in range(self.remove):
            del left[int(values[f"route/removed {number + 1}"])]
        return left

    def _layer_genes(self, layer: int) -> Iterator[Gene]:
        name = f"route/layer {layer}"
        if self.select == "some":
            yield from (include_gene(f"{name}/{source}", neutral=source == self.sources[0]) for source in self.sources)
            yield FloatGene(f"{name}/factor", *self.factor, neutral=min(max(1.0, self.factor[0]), self.factor[1]))
        elif len(self.sources) > 1:
            yield ChoiceGene(f"{name}/from", self.sources, neutral=self.sources[0])
        if self.write:
            yield write_gene(f"{name}/write", self.write)

    def _segment(self, values: Genes, layer: int) -> Segment:
        write = values.get(f"route/layer {layer}/write", 1.0)
        if self.select == "one":
            return segment(str(values.get(f"route/layer {layer}/from", self.sources[0])), layer, write)
        entering = self._entering(values, layer)
        return segment({0: self.home, 1: entering[0] if entering else ""}.get(len(entering), _BLEND), layer, write)

    def _entering(self, values: Genes, layer: int) -> list[str]:
        return [source for source in self.sources if values[f"route/layer {layer}/{source}"]]

    def _weights(self, values: Genes, layer: int) -> list[float]:
        factor, entering = float(values[f"route/layer {layer}/factor"]), self._entering(values, layer)
        return [factor if source in entering else 0.0 for source in self.sources]
