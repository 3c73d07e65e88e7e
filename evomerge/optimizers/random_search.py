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
        generation = list(self._seeds)
        self._seeds = ()
        self._seen.update(generation)
        while len(generation) < self._size and (genome := unseen(self._genes, self._seen, self._rng)) is not None:
            generation.append(genome)
            self._seen.add(genome)
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`. Random search learns nothing."""

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`."""
        return None


def unseen(genes: Sequence[Gene], seen: set[Genome], rng: np.random.Generator) -> Genome | None:
    """A uniform genome that is not in `seen`, or None when `ATTEMPTS` draws found none."""
    for _ in range(ATTEMPTS):
        genome = tuple(_draw(gene, rng) for gene in genes)
        if genome not in seen:
            return genome
    return None


def _draw(gene: Gene, rng: np.random.Generator) -> Scalar:
    match gene:
        case FloatGene():
            return gene.from_unit(rng.random())
        case IntGene():
            return int(rng.integers(gene.low, gene.high, endpoint=True))
        case ChoiceGene():
            return gene.options[int(rng.integers(len(gene.options)))]
