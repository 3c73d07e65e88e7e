"""`indicator@paper`: Sakana's data-flow space as its authors encode it, for comparison with `indicator`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import pydantic

from evomerge.documents import fault, shown
from evomerge.recipe.route import Fault, joined
from evomerge.recipe.stream_scales import fold_connections
from evomerge.spaces.genes import FloatGene, Gene, Scalar
from evomerge.spaces.holes import is_list
from evomerge.spaces.routes.base import Depths, Drawn, Genes, RouteGenerator, segment

_INCLUDED = 2 / 3
"""Two steps of σ = 1/6 of the gene's range above 0, where the published search starts the first source's layers."""

_SCALES = -0.5, 1.0
"""W − 1 where the file gives no range: the stream is halved, doubled or anything between."""

_LEAST = 0.01
"""Of W, by its size."""


class IndicatorOfPaper(RouteGenerator):
    """Sakana's data-flow space (2403.13187, 3.2; decoding as in issue 8 of SakanaAI/evolutionary-model-merge).

    With M layers in all sources and T = M · repeats places there are T − 2 floats, of which those above 0 put layer
    `place mod M` into the route, between the first source's first and last layers, and M² floats w, of which W = 1 + w
    scales the stream between any two layers. The scales, of either sign, become factors on what layers write and read
    (`stream_scales`). Published w begin at 0 and have no bounds. W of 0 would cut the stream, so that what is nearer to
    it than 0.01 counts as that.

    Attributes:
        repeats: How often the row of all layers is gone through.
        scales: Whether W is searched, or the range of w = W − 1, which may reach below -1; `true` stands for [-0.5, 1].
    """

    use: Literal["indicator@paper"] = "indicator@paper"
    repeats: int = pydantic.Field(default=3, ge=1)
    scales: bool | tuple[float, float] = True

    @pydantic.field_validator("scales", mode="before")
    @classmethod
    def _around_0(cls, scales: Any) -> Any:
        is_pair = is_list(scales) and len(scales) == 2 and all(isinstance(end, int | float) for end in scales)
        if not isinstance(scales, bool) and not (is_pair and scales[0] < 0 < scales[1]):
            raise fault(f"{shown(scales)} is no range of W − 1. Write true, false, or [low, high] with low < 0 < high.")
        return scales

    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """T − 2 indicators, then W − 1 row by row."""
        size, num_layers = len(self._row(depths)), depths[self.home]
        indicators = [
            FloatGene(f"route/place {place}", -1.0, 1.0, neutral=_INCLUDED if 0 < place < num_layers - 1 else 0.0)
            for place in range(size * self.repeats - 2)
        ]
        pairs = [(i, j) for i in range(size) for j in range(size)] if self.scales else []
        low, high = self.scales if isinstance(self.scales, tuple) else _SCALES
        return (*indicators, *(FloatGene(f"route/scale {i} {j}", low, high, neutral=0.0) for i, j in pairs))

    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """The published decoding, its scales folded."""
        row = self._row(depths)
        size, num_places = len(row), len(row) * self.repeats - 2
        inner = [place % size for place in range(num_places) if float(values[f"route/place {place}"]) > 0]
        path = [0, *inner, depths[self.home] - 1]
        if not self.scales:
            return Drawn(joined(segment(*row[number]) for number in path))
        folded = fold_connections(
            path, [[_w(values[f"route/scale {i} {j}"]) for j in range(size)] for i in range(size)]
        )
        factors = zip(path, folded.writes, folded.reads, strict=True)
        route = joined(segment(*row[number], write, read) for number, write, read in factors)
        return Drawn(route, ends={} if folded.norm > 0 else {"read": folded.norm})

    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """A first and a last layer that are one."""
        yield from self._short(depths)

    def _row(self, depths: Depths) -> list[tuple[str, int]]:
        return [(source, layer) for source in self.sources for layer in range(depths[source])]


def _w(gene: Scalar) -> float:
    """W of a gene, kept away from 0."""
    scale = 1 + float(gene)
    return scale if abs(scale) >= _LEAST else math.copysign(_LEAST, scale)
