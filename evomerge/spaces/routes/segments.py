"""`segments`: a route as a recipe writes it, with holes: what a file means that lists segments under `route`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Self

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Tree, faults_at
from evomerge.recipe.route import Fault, Segment, joined
from evomerge.spaces.genes import ChoiceGene, Gene, IntGene
from evomerge.spaces.holes import Path, check_holes, corners, fill, genes_in, is_list, open_holes
from evomerge.spaces.routes.base import Depths, Drawn, Genes, RouteGenerator


class _Stretch(Segment):
    """A segment that may be left out or repeated.

    Attributes:
        include: Whether it takes part.
        repeat: How often it stands in the route, one after the other.
    """

    include: bool = True
    repeat: int = pydantic.Field(default=1, ge=1)


class Segments(RouteGenerator):
    """Segments of a route in which any value may be a hole: stacks with repeats among them.

    Beside the keys of a recipe's segment there are `include`, whether it takes part, and `repeat`, how often it stands
    in the route. A first layer above the last is turned around; where no segment takes part, the first does.

    Attributes:
        segments: As written.
    """

    use: Literal["segments"] = "segments"
    segments: tuple[Tree, ...] = pydantic.Field(min_length=1)

    @classmethod
    def of(cls, tree: Tree) -> Self:
        """Read a list of segments with holes.

        Raises:
            pydantic.ValidationError: If a hole or a segment is described badly.
        """
        opened = open_holes(check_holes(tree))
        faults: dict[str, InitErrorDetails] = {}
        for values in corners(list(genes_in(opened))):
            for index, part in enumerate(fill(opened, values)):
                try:
                    _stretch(part)
                except pydantic.ValidationError as error:
                    faults |= {repr(found): found for found in faults_at((index,), error)}
        if faults:
            raise pydantic.ValidationError.from_exception_data(cls.__name__, [*faults.values()])
        named = [part["from"] for part in opened]
        sources = dict.fromkeys(source for some in named for source in _options(some))
        return cls.model_validate({"from": [*sources], "segments": tree})

    def genes(self, depths: Depths) -> tuple[Gene, ...]:
        """The holes, in the order of the file."""
        return tuple(genes_in(self._opened))

    def draw(self, values: Genes, depths: Depths) -> Drawn:
        """The segments that take part, as often as they are repeated."""
        stretches = [_stretch(part) for part in fill(self._opened, values)]
        taken = [stretch for stretch in stretches if stretch.include] or stretches[:1]
        return Drawn(
            joined(
                Segment.of(s.source, s.layers, s.write_factor, s.read_factor) for s in taken for _ in range(s.repeat)
            )
        )

    def misfits(self, depths: Depths) -> Iterator[Fault]:
        """Layers that do not exist in some source."""
        for index, part in enumerate(self._opened):
            layers = part.get("layers")
            ends = [end.high if isinstance(end, IntGene) else end for end in layers] if is_list(layers) else []
            for source in _options(part["from"]):
                if ends and max(ends) >= depths[source]:
                    what = f"layer {max(ends)} does not exist: the last layer of {source} is {depths[source] - 1}."
                    yield (index, "layers"), what

    @property
    def _opened(self) -> Tree:
        return open_holes(self.segments, _name)


def _options(source: Tree) -> Sequence[str]:
    """What a segment may be taken from."""
    return [*map(str, source.options)] if isinstance(source, ChoiceGene) else [source]


def _stretch(tree: Tree) -> _Stretch:
    layers: Tree = tree.get("layers") if isinstance(tree, Mapping) else None
    is_pair = is_list(layers) and all(isinstance(layer, int) for layer in layers)
    return _Stretch.model_validate({**tree, "layers": sorted(layers)} if is_pair else tree)


def _name(path: Path) -> str:
    """Names a gene by its segment and key, such as `route/segment 2/write`, and ends of layers `first` and `last`."""
    index, *keys = path
    words = ["first", "last"][int(keys[1])] if keys[0] == "layers" else str(keys[0])
    return f"route/segment {int(index) + 1}/{words}"
