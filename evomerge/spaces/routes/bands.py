"""`bands`: the layers cut into bands at places that are genes, each band taken from one of the sources."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

import pydantic

from evomerge.recipe.route import Fault, Segment, joined
from evomerge.spaces.genes import ChoiceGene, Gene, IntGene
from evomerge.spaces.routes.base import Depths, Drawn, Genes, RouteGenerator


class Bands(RouteGenerator):
    """Layer swapping (2410.01335) with its bands searched.

    In the paper a language's expert gives the lowest and the highest layers and another expert the middle. The averaged
    zone between them is a blend among the sources.

    Attributes:
        bands: How many bands there are; some may be empty.
    """

    use: Literal["bands"] = "bands"
    sources: Annotated[tuple[str, ...], pydantic.Field(alias="from", min_length=2)]
    bands: int = pydantic.Field(default=3, ge=2)

    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """The boundaries, each the first layer of a band, and the source of every band."""
        num_layers = depths[self.home]
        boundaries = [
            IntGene(f"route/boundary {number}", 0, num_layers, neutral=number * num_layers // self.bands)
            for number in range(1, self.bands)
        ]
        chosen = [
            ChoiceGene(f"route/band {number}/from", self.sources, neutral=self.sources[0])
            for number in range(1, self.bands + 1)
        ]
        return (*boundaries, *chosen)

    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """Bands from the lowest to the highest; boundaries in any order mean the same."""
        boundaries = sorted(int(values[f"route/boundary {number}"]) for number in range(1, self.bands))
        cuts = pairwise([0, *boundaries, depths[self.home]])
        return Drawn(
            joined(
                Segment.of(str(values[f"route/band {number}/from"]), (first, after - 1))
                for number, (first, after) in enumerate(cuts, start=1)
                if first < after
            )
        )

    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """Sources of several depths, and more bands than layers."""
        yield from self._unlike(depths)
        if self.bands > (num_layers := depths[self.home]):
            what = f"{self.bands} bands, but the models have {num_layers} layers. Ask for {num_layers} or fewer."
            yield ("bands",), what
