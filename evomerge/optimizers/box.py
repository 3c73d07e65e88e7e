"""The unit box in which real-valued algorithms move, and how its points spell genomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene, Scalar

MARGIN = 0.05
"""How far inside the box a distribution starts, so that it can move to both sides of its mean."""


class Box:
    """The box [0, 1]^D of a list of genes.

    A real gene is one coordinate; a whole number is one coordinate cut into equal bins; a choice is one coordinate per
    option, of which the largest names the option.

    Attributes:
        dimension: Number of coordinates, D.
    """

    def __init__(self, genes: Sequence[Gene]) -> None:
        self._genes = tuple(genes)
        self.dimension = sum(_width(gene) for gene in genes)

    def decode(self, point_D: NDArray[np.float64]) -> Genome:
        """The genome at a point; coordinates outside the box count as its nearest face."""
        return tuple(_value(gene, part) for gene, part in self._parts(point_D))

    def encode(self, genome: Genome) -> NDArray[np.float64]:
        """A point that decodes to the genome."""
        parts = [_coordinates(gene, value) for gene, value in zip(self._genes, genome, strict=True)]
        return np.array([coordinate for part in parts for coordinate in part], dtype=np.float64)

    def first_mean(self, seeds: Sequence[Genome]) -> NDArray[np.float64]:
        """Where a distribution starts: at the first seed, moved `MARGIN` inside the box, or in the middle."""
        if not seeds:
            return np.full(self.dimension, 0.5)
        return np.clip(self.encode(seeds[0]), MARGIN, 1.0 - MARGIN)

    def _parts(self, point_D: NDArray[np.float64]) -> Iterator[tuple[Gene, NDArray[np.float64]]]:
        begin = 0
        for gene in self._genes:
            end = begin + _width(gene)
            yield gene, point_D[begin:end]
            begin = end


def option_index(gene: ChoiceGene, value: Scalar) -> int:
    """Which option of a choice a value is; `True` and `1` are different options."""
    return next(i for i, option in enumerate(gene.options) if type(option) is type(value) and option == value)


def _width(gene: Gene) -> int:
    return len(gene.options) if isinstance(gene, ChoiceGene) else 1


def _value(gene: Gene, part: NDArray[np.float64]) -> Scalar:
    match gene:
        case FloatGene():
            return gene.from_unit(float(part[0]))
        case IntGene():
            bins = gene.high - gene.low + 1
            return gene.low + min(max(int(part[0] * bins), 0), bins - 1)
        case ChoiceGene():
            return gene.options[int(np.argmax(part))]


def _coordinates(gene: Gene, value: Scalar) -> list[float]:
    match gene:
        case FloatGene():
            return [gene.to_unit(float(value))]
        case IntGene():
            return [(int(value) - gene.low + 0.5) / (gene.high - gene.low + 1)]
        case ChoiceGene():
            chosen = option_index(gene, value)
            return [0.75 if i == chosen else 0.25 for i in range(len(gene.options))]
