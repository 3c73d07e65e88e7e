"""MAP's nested form: two models are merged at a time, up a tree of the objectives; for real genes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs_surrogates import MapNestedConfig
from evomerge.optimizers.improvement import most_promising, room_beyond
from evomerge.optimizers.map_pair import MapPair
from evomerge.optimizers.random_search import filled, first_generation
from evomerge.optimizers.start import Start
from evomerge.optimizers.told import Told
from evomerge.spaces.genes import Genome


@dataclass(frozen=True, slots=True)
class Node:
    """A model in the tree, and the objectives that it stands for."""

    model: Genome
    objectives: tuple[int, ...]


class MapNested:
    """Nested MAP (Li et al. 2024, "MAP", arXiv 2406.07529): real genes, two objectives or more.

    Of the first generation, the best candidate for each objective is a leaf. Two neighbours a and b are merged as
    origin + c₁(a - origin) + c₂(b - origin): a design over both coefficients is tried, a `Quadratic` of them is fitted
    to what a stands for and one to what b does, and what both together expect to be best is a model of the next level.
    At the root, the merges that add most hypervolume are tried. So a surrogate has six coefficients, and a tree of M
    objectives costs M - 1 designs of 12, however many genes there are: fewer candidates than MAP's design for one gene
    per objective from M = 8 on.

    A node stands for the mean of its objectives, weighted by preferences. Those of the authors' code are the user's,
    who gets one model; here the first tree has equal ones, and further trees draw theirs from all alike, so that the
    roots together make a front. Leaves are the experts only where the seeds are. The paper scores a merge on the tasks
    of its node alone, and counts its savings so; here every candidate is scored on all objectives. Neighbours follow
    the order of the objectives, not the nearest accuracy, and a grid takes the place of NSGA-III.

    The origin has all genes neutral or nearest to 0; models are added as points of the `Box`. After the first
    generation nothing is tried but such sums of the leaves, few of all genomes where genes outnumber objectives.
    """

    def __init__(self, config: MapNestedConfig, start: Start) -> None:
        self._config = config
        self._start = start
        self._told = Told(start.genes)
        self._pairs: dict[tuple[Genome, Genome], MapPair] = {}
        self._leaves: list[Node] = []
        self._level: list[Node] = []
        self._trees = 0
        self._favourite: Genome | None = None

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        num_objectives = self._start.num_objectives
        if not self._told:
            return first_generation(self._start, max(self._config.startup, num_objectives))
        if len(self._told) < num_objectives:  # the space has no more
            return ()
        self._leaves = self._leaves or self._best_of_each()
        self._level = self._level or self._leaves
        while True:
            designs = [self._pair(one, other).design for one, other in _neighbours(self._level)]
            untried = dict.fromkeys(genome for design in designs for genome in design if genome not in self._told.seen)
            if untried:
                return list(untried)
            if len(self._level) == 2:
                return self._root()
            self._level = self._next_level()

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._told.take(genomes, scored)

    def favourite(self) -> Genome | None:
        """What the first tree, whose preferences are equal, expects to be best."""
        return self._favourite

    def _best_of_each(self) -> list[Node]:
        """For every objective the best candidate that leads no other one."""
        excess_N = np.maximum(self._told.excess(), 0.0)
        leaves = dict[Genome, Node]()
        for objective, losses_N in enumerate(self._told.losses().T):
            ranked = (self._told.genomes[row] for row in np.lexsort((losses_N, excess_N)))
            best = next(genome for genome in ranked if genome not in leaves)
            leaves[best] = Node(best, (objective,))
        return list(leaves.values())

    def _pair(self, one: Node, other: Node) -> MapPair:
        models = one.model, other.model
        if models not in self._pairs:
            rng = seeds.generator(self._start.seed, "optimizers", "map_nested", "pair", str(len(self._pairs)))
            self._pairs[models] = MapPair(self._told.box, self._start.absent, models, self._config.design, rng)
        return self._pairs[models]

    def _next_level(self) -> list[Node]:
        """What each pair merges to, and the node that has no neighbour."""
        weights_M = self._weights()
        merged = []
        for one, other in _neighbours(self._level):
            pair = self._pair(one, other)
            parts_2M = np.array([_part(node, weights_M) for node in (one, other)])
            shares_2M = parts_2M / parts_2M.sum(axis=1, keepdims=True)
            losses_P2, excess_P = self._expected(pair, shares_2M)
            best = np.lexsort((losses_P2 @ parts_2M.sum(axis=1), excess_P))[0]
            merged.append(Node(pair.merge(pair.grid_P2[best]), one.objectives + other.objectives))
        return merged + self._level[2 * len(merged) :]

    def _root(self) -> list[Genome]:
        """The merges of the last pair that add most hypervolume. A new tree begins."""
        rng = seeds.generator(self._start.seed, "optimizers", "map_nested", str(len(self._told)))
        pair = self._pair(*self._level)
        losses_PM, excess_P = self._expected(pair, np.eye(self._start.num_objectives))
        if self._favourite is None:
            self._favourite = pair.merge(pair.grid_P2[np.lexsort((losses_PM @ self._weights(), excess_P))[0]])
        # Where no merge is expected to keep the constraints, those that come nearest are taken.
        genomes = {pair.merge(pair.grid_P2[row]): row for row in np.flatnonzero(excess_P <= excess_P.min())}
        rows = [row for genome, row in genomes.items() if genome not in self._told.seen]
        taken = self._promising(losses_PM[rows], rng) if rows else []
        new = [pair.merge(pair.grid_P2[rows[index]]) for index in taken]
        self._level, self._trees = [], self._trees + 1
        return filled(new, self._config.population, self._start.genes, set(self._told.seen), rng)

    def _promising(self, losses_PM: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
        room_QM = room_beyond(self._told.losses(), losses_PM.min(axis=0), rng)
        certain_PM, chance_P = np.zeros_like(losses_PM), np.ones(len(losses_PM))
        return most_promising(losses_PM, certain_PM, chance_P, room_QM, self._config.population)

    def _weights(self) -> NDArray[np.float64]:
        """What a unit of each loss counts, (M,): this tree's preferences, over the range of losses seen."""
        range_M = np.ptp(self._told.losses(), axis=0)
        preferences_M = np.ones(len(range_M))
        if self._trees:
            rng = seeds.generator(self._start.seed, "optimizers", "map_nested", "preferences", str(self._trees))
            preferences_M = rng.dirichlet(preferences_M)
        return preferences_M / np.where(range_M > 0, range_M, 1.0)

    def _expected(
        self, pair: MapPair, shares_KM: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """On a pair's grid, K weighted means of the losses (P, K), and how far constraints are broken (P,)."""
        told, config = self._told, self._config
        losses_NK, errors_NK = told.losses() @ shares_KM.T, np.sqrt(told.errors() ** 2 @ shares_KM.T**2)
        losses_PK = pair.expected(told.genomes, losses_NK, errors_NK, config.link, config.reach)
        excess_N1 = told.excess()[:, None]
        if not (excess_N1 > 0).any():
            return losses_PK, np.zeros(len(losses_PK))
        excess_P1 = pair.expected(told.genomes, excess_N1, np.zeros_like(excess_N1), "none", config.reach)
        return losses_PK, np.maximum(excess_P1[:, 0], 0.0)


def _neighbours(nodes: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """First and second, third and fourth, and so on; the last one alone has none."""
    return zip(nodes[::2], nodes[1::2], strict=False)


def _part(node: Node, weights_M: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights of a node's own objectives, 0 for all others, (M,)."""
    return np.where(np.isin(np.arange(len(weights_M)), node.objectives), weights_M, 0.0)
