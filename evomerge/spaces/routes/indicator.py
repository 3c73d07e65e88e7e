"""`indicator`: the layers of all sources in a row, some times over, and each place of the row in the route or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pydantic

from evomerge.recipe.route import Fault, joined
from evomerge.spaces.genes import Gene
from evomerge.spaces.routes.base import Depths, Drawn, Factors, Genes, RouteGenerator, include_gene, segment, write_gene

Slot = tuple[str, int, str]
"""A place of the row: its source, its layer, and the beginning of its genes' names."""


class Indicator(RouteGenerator):
    """Sakana's data-flow space (2403.13187, 3.2) with typed genes. Sources may differ in depth.

    The first source's first layer begins every route and its last layer ends it, as published, so that what reads the
    embeddings and what the head reads stay what they were. The published scales, one per pair of layers, are replaced
    by one factor per place, which is what a route can hear of them.

    Attributes:
        repeats: How often the row of all layers is gone through.
        write: Range of the factors on what layers write; absent: they stay 1.
    """

    use: Literal["indicator"] = "indicator"
    repeats: int = pydantic.Field(default=1, ge=1)
    write: Factors | None = None

    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """Per place whether it takes part, and its factor; one factor for each of the layers that always do."""
        first, *slots, last = self._slots(depths)
        own = self._row(0, depths)[1 : depths[self.home] - 1]
        included = [include_gene(f"{slot[2]}/include", neutral=slot in own) for slot in slots]
        writes = [write_gene(f"{name}/write", self.write) for _, _, name in (first, *slots, last)] if self.write else []
        return (*included, *writes)

    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """The places that take part, in their order."""
        first, *slots, last = self._slots(depths)
        taken = [first, *(slot for slot in slots if values[f"{slot[2]}/include"]), last]
        return Drawn(joined(segment(source, layer, values.get(f"{name}/write", 1.0)) for source, layer, name in taken))

    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """A first and a last layer that are one."""
        yield from self._short(depths)

    def _slots(self, depths: Depths) -> list[Slot]:
        """The row with its repeats, the first source's last layer moved from its first round to the end."""
        slots = [slot for number in range(self.repeats) for slot in self._row(number, depths)]
        num_layers = depths[self.home]
        return [*slots[: num_layers - 1], *slots[num_layers:], slots[num_layers - 1]]

    def _row(self, number: int, depths: Depths) -> list[Slot]:
        again = f" again {number}" if number else ""
        return [(s, layer, f"route/{s} {layer}{again}") for s in self.sources for layer in range(depths[s])]
