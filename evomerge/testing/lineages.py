"""The laws of `Optimizer` for those that breed members of a lineage, and lineages to try them on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from evomerge.optimizers.base import Optimizer, Scored
from evomerge.recipe.spans import TensorSpan
from evomerge.recipe.where import Role, Where
from evomerge.spaces.genes import Gene, Genome
from evomerge.spaces.lineage import Cross, Lineage, lattice_of
from evomerge.testing.optimizers import OptimizerContract


def small_lineage() -> Lineage:
    """Three models of four layers, two chromosomes and 24 cells."""
    roles: tuple[Role, ...] = ("attention", "mlp")
    spans = [
        TensorSpan(f"layers.{layer}.{role}", layer, role, start := 40 * (2 * layer + place), start + 40)
        for layer in range(4)
        for place, role in enumerate(roles)
    ]
    lattice = lattice_of(spans, [Where(roles=("attention",))], resolution=3)
    vectors_KLE = np.random.default_rng(0).normal(size=(3, len(lattice.cells), 40))
    return Lineage(("one", "two", "three"), lattice, np.einsum("kle,jle->lkj", vectors_KLE, vectors_KLE))


class LineageContract(OptimizerContract):
    """Inherit this in a test class, say how to make the optimiser, and pytest checks the laws.

    Attributes:
        lineage: What the optimiser is tried on.
    """

    lineage: Lineage = small_lineage()
    genes: Sequence[Gene] = ()
    breaks_constraints = True  # the archive keeps them, but children lie anywhere between its members

    @abstractmethod
    def breed(
        self, lineage: Lineage, num_objectives: int, seed: int, seeds: Sequence[Genome] = (), budget: int = 200
    ) -> Optimizer:
        """A fresh optimiser."""

    def make(
        self, genes: Sequence[Gene], num_objectives: int, seed: int, seeds: Sequence[Genome] = (), budget: int = 200
    ) -> Optimizer:
        """See `breed`."""
        return self.breed(self.lineage, num_objectives, seed, seeds, budget)

    def check(self, genome: Genome) -> None:
        """Assert that a genome is a member of plain values."""
        assert isinstance(genome, tuple)
        assert all(type(value) in (int, float) for value in genome), f"{genome} holds more than plain numbers"
        assert self.lineage.contains(genome), f"{genome} is no member"

    def positions(self, genome: Genome) -> list[float]:
        """The share that the first model has in each cell."""
        return [float(share) for share in self.lineage.coefficients(genome)[:, 0].clip(0.0, 1.0)]

    def draw(self, rng: np.random.Generator) -> Genome:
        """A member of a few generations without selection."""
        pool = list(self.lineage.founders)
        for _ in range(5):
            one, other = (pool[int(place)] for place in rng.choice(len(pool), 2, replace=False))
            chromosomes = self.lineage.lattice.chromosomes
            crosses = [Cross(int(rng.integers(each.start, each.stop)), float(rng.random())) for each in chromosomes]
            pool.append(self.lineage.mix(one, other, crosses, "linear", "whole"))
        return pool[-1]

    def end(self, *, last: bool) -> Genome:
        """The first or the last model."""
        return self.lineage.founders[-1 if last else 0]

    def judge(self, genome: Genome) -> Scored:
        """One item per cell, which asks for one of the models; one objective per stretch of items."""
        shares_LK = self.lineage.coefficients(genome)
        cells = np.arange(len(shares_LK))
        items_L = shares_LK[cells, cells // 3 % shares_LK.shape[1]].clip(0.0, 1.0)
        losses = tuple(float(1 - part.mean()) for part in np.array_split(items_L, self.num_objectives))
        return Scored(losses, items_I=items_L.astype(np.float32))
