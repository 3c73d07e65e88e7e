"""A lineage: members bred from a few models, each as what it is made of on every stretch of the parameters.

A mix of mixes is, stretch by stretch, a combination of the original models. So however long its genealogy, a member is
a list of stretches with one coefficient for each of those models, and holds no weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from evomerge.recipe.digits import significant
from evomerge.recipe.sphere import sphere_weights
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage.lattice import Chromosome, Lattice

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cross:
    """How one chromosome of a child is put together (arXiv 2508.16204 eq. 2).

    Attributes:
        split: The first cell after the split point, from the chromosome's first to the one after its last.
        t: Share of the second parent before the split point; after it, it is 1 - t.
    """

    split: int
    t: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Cells of one chromosome that a member mixes alike.

    Attributes:
        chromosome: Theirs.
        start: The first.
        stop: The one after the last.
        coefficients: One per original model.
    """

    chromosome: Chromosome
    start: int
    stop: int
    coefficients: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Lineage:
    """What can be bred from K models on a lattice of L cells.

    A member's genome is flat: for each stretch the place of the cell after its last, then one coefficient per model.
    Stretches follow one another over all chromosomes and never reach from one into the next. The lattice of a model
    with the same layers but other widths has as many cells, so that genomes mean the same there.

    Attributes:
        names: Of the original models.
        lattice: Where members may change.
        gram_LKK: Inner products of the original models on every cell, float64: of their differences from a common
            origin where there is one, else of their weights.
        has_origin: Whether there is one.
    """

    names: tuple[str, ...]
    lattice: Lattice
    gram_LKK: Floats
    has_origin: bool = False

    @property
    def founders(self) -> tuple[Genome, ...]:
        """The original models as members."""
        rows = np.eye(len(self.names))
        return tuple(self.genome(np.tile(row_K, (len(self.lattice.cells), 1))) for row_K in rows)

    def mix(
        self,
        first: Genome,
        second: Genome,
        crosses: Sequence[Cross],
        arc: Literal["slerp", "linear"],
        angle: Literal["whole", "side"],
    ) -> Genome:
        """The child of two members.

        Args:
            first: A member.
            second: Another.
            crosses: One per chromosome.
            arc: Whether they are mixed on the arc between them or on the line.
            angle: Whether the arc's angle is that of whole chromosomes or of each side of the split point.
        """
        first_LK, second_LK = self.coefficients(first), self.coefficients(second)
        child_LK = np.empty_like(first_LK)
        for chromosome, cross in zip(self.lattice.chromosomes, crosses, strict=True):
            whole = slice(chromosome.start, chromosome.stop)
            before, after = slice(chromosome.start, cross.split), slice(cross.split, chromosome.stop)
            for side, t in ((before, cross.t), (after, 1.0 - cross.t)):
                shares = 1.0 - t, t
                if arc == "slerp":
                    shares = sphere_weights(
                        *self._products(first_LK, second_LK, whole if angle == "whole" else side), t
                    )
                child_LK[side] = shares[0] * first_LK[side] + shares[1] * second_LK[side]
        return self.genome(child_LK)

    def kinship(self, members: Sequence[Genome]) -> Floats:
        """Cosines between members as seen from the origin, or from the mean of the original models where none is.

        Returns:
            cosine_PP: 0 for a member that stands where they are seen from (Model Kinship, arXiv 2410.12613).
        """
        centre = 0.0 if self.has_origin else 1.0 / len(self.names)
        seen_PLK = np.array([self.coefficients(member) for member in members]) - centre
        through_PLK = np.einsum("plk,lkj->plj", seen_PLK, self.gram_LKK)
        products_PP = np.einsum("plk,qlk->pq", seen_PLK, through_PLK, optimize=True)
        norms_P = np.sqrt(np.maximum(np.diag(products_PP), 0.0))
        scales_PP = np.outer(norms_P, norms_P)
        cosine_PP: Floats = np.divide(products_PP, scales_PP, out=np.zeros_like(products_PP), where=scales_PP > 0)
        return cosine_PP

    def coefficients(self, genome: Genome) -> Floats:
        """A member's coefficient of each model on each cell, (L, K)."""
        rows_S = np.array(genome, dtype=np.float64).reshape(-1, 1 + len(self.names))
        stops_S = rows_S[:, 0].astype(np.int64)
        return np.repeat(rows_S[:, 1:], stops_S - np.concatenate([[0], stops_S[:-1]]), axis=0)

    def genome(self, coefficients_LK: Floats) -> Genome:
        """The member with these coefficients, rounded, in its one spelling."""
        changes_L = np.any(coefficients_LK[1:] != coefficients_LK[:-1], axis=1)
        ends = {*(np.flatnonzero(changes_L) + 1).tolist(), *(each.stop for each in self.lattice.chromosomes)}
        stretches: list[tuple[int, tuple[float, ...]]] = []
        for stop in sorted(ends):
            row = tuple(map(significant, coefficients_LK[stop - 1].tolist()))
            if stretches and stretches[-1][1] == row and not self._begins(stretches[-1][0]):
                stretches.pop()
            stretches.append((stop, row))
        return tuple(itertools.chain.from_iterable((stop, *row) for stop, row in stretches))

    def stretches(self, genome: Genome) -> list[Stretch]:
        """What a member is made of, in order."""
        width, start, found = 1 + len(self.names), 0, list[Stretch]()
        for place in range(0, len(genome), width):
            stop, *row = genome[place : place + width]
            chromosome = next(each for each in self.lattice.chromosomes if each.start <= start < each.stop)
            found.append(Stretch(chromosome, start, int(stop), tuple(map(float, row))))
            start = int(stop)
        return found

    def contains(self, genome: Genome) -> bool:
        """Whether something is the genome of a member, in its one spelling."""
        width = 1 + len(self.names)
        numbers = [value for value in genome if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < len(genome) or not genome or len(genome) % width or not np.isfinite(numbers).all():
            return False
        stops = [stop for stop in genome[::width] if isinstance(stop, int)]
        is_rising = all(before < stop for before, stop in itertools.pairwise((0, *stops)))
        is_whole = len(stops) == len(genome) // width and stops[-1] == len(self.lattice.cells)
        return is_rising and is_whole and self.genome(self.coefficients(genome)) == genome

    def _begins(self, cell: int) -> bool:
        """Whether a chromosome begins with a cell."""
        return any(each.start == cell for each in self.lattice.chromosomes)

    def _products(self, first_LK: Floats, second_LK: Floats, side: slice) -> tuple[float, float, float]:
        """Squared norms and inner product of two members on some cells."""
        pairs = ((first_LK, first_LK), (second_LK, second_LK), (first_LK, second_LK))
        one, other, dot = (float(np.einsum("lk,lkj,lj->", a[side], self.gram_LKK[side], b[side])) for a, b in pairs)
        return max(one, 0.0), max(other, 0.0), dot
