"""Greedy search: one gene after another, each over a grid of values, whatever is not worse kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import GreedyConfig
from evomerge.optimizers.deb import single_loss
from evomerge.optimizers.grid import spaced_values
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import Genome

FINEST = 8
"""How often a grid may be halved: beyond that, values differ by less than scores can tell."""


class Greedy:
    """Coordinate search: any genes, one objective, constraints by Deb's rule.

    From the best seed, or with every gene at its neutral value or nearest 0, all values of the first gene are tried,
    and what is not worse is kept; then those of the next, and so on. After a sweep that found nothing better, the grid
    is halved. With weights for genes, this is the greedy soup (Wortsman et al. 2022, arXiv 2203.05482, recipe 1) with
    a grid of coefficients, as Model-GLUE has it (Zhao et al. 2024, arXiv 2410.05357, section 3.1).
    """

    def __init__(self, config: GreedyConfig, start: Start) -> None:
        self._genes = start.genes
        self._points = config.points
        self._rng = seeds.generator(start.seed, "optimizers", "greedy") if config.order == "random" else None
        self._best = start.origin
        self._lowest = float("inf")
        self._first: Sequence[Genome] = start.seeds or (self._best,)
        self._seen: set[Genome] = set()
        self._sweep: Iterator[int] = iter(())
        self._improved = True
        self._halvings = 0

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        generation, self._first = list(self._first), ()
        while not generation and (place := self._next_gene()) is not None:
            values = spaced_values(self._genes[place], (self._points - 1) * 2**self._halvings + 1)
            variants = [(*self._best[:place], value, *self._best[place + 1 :]) for value in values]
            generation = [variant for variant in variants if variant not in self._seen]
        self._seen.update(generation)
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        for genome, loss in zip(genomes, map(single_loss, scored), strict=True):
            if loss <= self._lowest:
                self._improved |= loss < self._lowest
                self._best, self._lowest = genome, loss

    def favourite(self) -> Genome:
        """What was kept."""
        return self._best

    def _next_gene(self) -> int | None:
        """Its place; None when the finest grid has nothing more to offer."""
        place = next(self._sweep, None)
        if place is None:
            if not self._improved:
                self._halvings += 1
            if self._halvings > FINEST:
                return None
            self._improved = False
            places = range(len(self._genes))
            self._sweep = iter(places if self._rng is None else self._rng.permutation(places).tolist())
            place = next(self._sweep)
        return place
