"""Grid search: every combination of evenly spaced values."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import GridConfig
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene, Scalar


class Grid:
    """The full factorial design after the seeds; any genes, any number of objectives.

    In random order, so that a budget smaller than the grid still sees the whole range of every gene.
    """

    def __init__(self, config: GridConfig, start: Start) -> None:
        self._size = config.population
        known = set(start.seeds)
        points = _points([spaced_values(gene, config.points) for gene in start.genes], start.seed)
        self._genomes = itertools.chain(start.seeds, (genome for genome in points if genome not in known))

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        return list(itertools.islice(self._genomes, self._size))

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`. A grid learns nothing."""

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`."""
        return None


def _points(values: Sequence[Sequence[Scalar]], seed: int) -> Iterator[Genome]:
    """Every combination once, in random order."""
    rng = random.Random(seeds.integer(seed, "optimizers", "grid"))
    for number in _shuffled(math.prod(len(column) for column in values), rng):
        genome = []
        for column in values:
            number, place = divmod(number, len(column))
            genome.append(column[place])
        yield tuple(genome)


def _shuffled(size: int, rng: random.Random) -> Iterator[int]:
    """The numbers below `size` in random order: Fisher and Yates's shuffle that remembers only what it has moved."""
    moved: dict[int, int] = {}
    for last in range(size - 1, -1, -1):
        drawn = rng.randrange(last + 1)
        yield moved.get(drawn, drawn)
        moved[drawn] = moved.pop(last, last)


def spaced_values(gene: Gene, points: int) -> tuple[Scalar, ...]:
    """So many values of a number, evenly spaced with both ends, or the middle alone; all options of a choice."""
    units = [i / (points - 1) for i in range(points)] if points > 1 else [0.5]
    match gene:
        case FloatGene():
            return tuple(dict.fromkeys(gene.from_unit(unit) for unit in units))
        case IntGene():
            return tuple(dict.fromkeys(gene.low + round(unit * (gene.high - gene.low)) for unit in units))
        case ChoiceGene():
            return gene.options
