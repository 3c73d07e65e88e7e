"""The lattice: where a member may change from one mix of the original models to another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evomerge.errors import ConfigError
from evomerge.recipe.spans import TensorSpan
from evomerge.recipe.where import Where


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a tensor that is never split.

    Attributes:
        tensor: Its name.
        start: Its first entry, among the flattened parameters of the model.
        stop: The entry after its last.
    """

    tensor: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Chromosome:
    """A group of tensors with split points and mixing weights of its own.

    Attributes:
        where: Its tensors; None for those of no other chromosome.
        start: Its first cell.
        stop: The cell after its last.
    """

    where: Where | None
    start: int
    stop: int


@dataclass(frozen=True)
class Lattice:
    """The cells of a model, chromosome by chromosome and within one in the order of the flattened parameters.

    Split points lie between cells, so that the inner products of the original models on every cell tell those of any
    members on any stretch.

    Attributes:
        chromosomes: Groups of tensors, one after the other.
        cells: Parts of tensors, one after the other.
        stretches: The tensors that were cut.
    """

    chromosomes: tuple[Chromosome, ...]
    cells: tuple[Cell, ...]
    stretches: tuple[TensorSpan, ...]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Entries of every cell, (L,)."""
        return np.array([cell.stop - cell.start for cell in self.cells], dtype=np.int64)

    def nearest(self, chromosome: Chromosome, share: float) -> int:
        """The split point before which a share of a chromosome's entries lies, or the nearest to it: a cell's place."""
        ends = np.cumsum(self.sizes[chromosome.start : chromosome.stop])
        before = np.concatenate([[0], ends])
        return chromosome.start + int(np.argmin(np.abs(before - share * ends[-1])))


def lattice_of(
    stretches: Sequence[TensorSpan], chromosomes: Sequence[Where], resolution: int, where: str = ""
) -> Lattice:
    """Cut a model into cells.

    Args:
        stretches: Its tensors.
        chromosomes: Selectors; a tensor belongs to the first that holds, and those of none make up a last chromosome.
        resolution: How many cells of equal size each tensor is cut into.
        where: Place of the chromosomes, for messages.

    Raises:
        ConfigError: If a chromosome has no tensors.
    """
    groups: list[list[Cell]] = [[] for _ in (*chromosomes, None)]
    for stretch in stretches:
        held = (i for i, each in enumerate(chromosomes) if each.matches(stretch.name, stretch.layer, stretch.role))
        groups[next(held, len(chromosomes))] += _cells(stretch, resolution)
    for index, group in enumerate(groups[:-1]):
        if not group:
            what = "no tensor is left for this chromosome. Each takes what none before it takes."
            raise ConfigError.at(f"{where}[{index}]", what)
    ends = [0, *itertools.accumulate(map(len, groups))]
    parts = [Chromosome(each, *span) for each, span in zip((*chromosomes, None), itertools.pairwise(ends), strict=True)]
    cells = tuple(cell for group in groups for cell in group)
    return Lattice(tuple(part for part in parts if part.start < part.stop), cells, tuple(stretches))


def _cells(stretch: TensorSpan, resolution: int) -> list[Cell]:
    size = stretch.stop - stretch.start
    ends = sorted({stretch.start + size * part // resolution for part in range(resolution + 1)})
    return [Cell(stretch.name, start, stop) for start, stop in itertools.pairwise(ends)]
