"""Route generators by name: the published families of routes, and routes written out with holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import pydantic

from evomerge.documents import fault, shown, suggestion, tree_of
from evomerge.spaces.routes.bands import Bands
from evomerge.spaces.routes.base import Drawn, RouteGenerator
from evomerge.spaces.routes.indicator import Indicator
from evomerge.spaces.routes.indicator_paper import IndicatorOfPaper
from evomerge.spaces.routes.segments import Segments
from evomerge.spaces.routes.tailor import Tailor

__all__ = ["GENERATORS", "Drawn", "RouteGenerator", "RouteHole", "Segments"]

GENERATORS: Mapping[str, type[RouteGenerator]] = {
    "indicator": Indicator,
    "indicator@paper": IndicatorOfPaper,
    "tailor": Tailor,
    "bands": Bands,
}
"""Generators that a search space may use."""


def _parse(tree: Any) -> RouteGenerator:
    if isinstance(tree, RouteGenerator):
        return tree
    if isinstance(tree, list | tuple):
        return Segments.of(tree)
    if not isinstance(tree, Mapping) or "use" not in tree:
        raise fault('A route is a list of segments, or a mapping with "use", the name of a generator, and "from".')
    name = tree["use"]
    if not isinstance(name, str) or name not in GENERATORS:
        raise fault(f'"{shown(name)}" is no generator of routes. {suggestion(str(name), GENERATORS)}')
    return GENERATORS[name].model_validate(tree)


RouteHole: TypeAlias = Annotated[RouteGenerator, pydantic.PlainValidator(_parse), pydantic.PlainSerializer(tree_of)]
"""The `route` of a search space."""
