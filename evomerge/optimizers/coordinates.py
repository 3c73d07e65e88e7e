"""One coordinate per gene, for libraries that have variables of several kinds."""

from __future__ import annotations

from typing import Any

from evomerge.optimizers.box import option_index
from evomerge.spaces.genes import FloatGene, Gene, IntGene, Scalar


def coordinate(gene: Gene, value: Scalar) -> float | int:
    """Position of a real number in [0, 1], a whole number itself, index of an option."""
    match gene:
        case FloatGene():
            return gene.to_unit(float(value))
        case IntGene():
            return int(value)
        case _:
            return option_index(gene, value)


def value_at(gene: Gene, native: Any) -> Scalar:
    """The value at a coordinate."""
    match gene:
        case FloatGene():
            return gene.from_unit(float(native))
        case IntGene():
            return int(native)
        case _:
            return gene.options[int(native)]
