"""Random search: the baseline that every study needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import RandomConfig
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene, Scalar

ATTEMPTS = 10_000
"""Draws without a new genome after which a space counts as exhausted."""


class RandomSearch:
    """Draws every gene uniformly and never proposes a genome twice; any genes, any number of objectives."""

    def __init__(self, config: RandomConfig, start: Start) -> None:
        self._size = config.population
        self._genes = start.genes
        self._rng = seeds.generator(start.seed, "optimizers", "random")
        self._seeds = tuple(start.seeds)
        self._seen: set[Genome] = set()

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        generation = filled(self._seeds, self._size, self._genes, self._seen, self._rng)
        self._seeds = ()
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`. Random search learns nothing."""

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`."""
        return None


def first_generation(start: Start, size: int) -> list[Genome]:
    """All seeds, and uniform genomes up to `size` as far as the space has any."""
    return filled(start.seeds, size, start.genes, set(), seeds.generator(start.seed, "optimizers", "random"))


def filled(
    genomes: Sequence[Genome], size: int, genes: Sequence[Gene], seen: set[Genome], rng: np.random.Generator
) -> list[Genome]:
    """The genomes, and uniform ones up to `size` that are not in `seen`, to which all of them are added."""
    generation = list(genomes)
    seen.update(generation)
    while len(generation) < size and (genome := unseen(genes, seen, rng)) is not None:
        generation.append(genome)
        seen.add(genome)
    return generation


def unseen(genes: Sequence[Gene], seen: set[Genome], rng: np.random.Generator) -> Genome | None:
    """A uniform genome that is not in `seen`, or None when `ATTEMPTS` draws found none."""
    for _ in range(ATTEMPTS):
        genome = tuple(drawn(gene, rng) for gene in genes)
        if genome not in seen:
            return genome
    return None


def drawn(gene: Gene, rng: np.random.Generator) -> Scalar:
    """A uniform value of a gene."""
    match gene:
        case FloatGene():
            return gene.from_unit(rng.random())
        case IntGene():
            return int(rng.integers(gene.low, gene.high, endpoint=True))
        case ChoiceGene():
            return gene.options[int(rng.integers(len(gene.options)))]
