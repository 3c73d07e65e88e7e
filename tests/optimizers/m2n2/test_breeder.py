"""M2N2 over recipes: the laws of optimisers, and what is its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.m2n2.configs import CycleQdConfig, M2N2Config, MapElitesConfig
from evomerge.optimizers.m2n2.cycle import Cycle
from evomerge.optimizers.m2n2.elites import Elites
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.spaces.lineage import Lineage
from evomerge.testing.lineages import LineageContract, small_lineage
from evomerge.testing.optimizers import Loop

LINEAGE = small_lineage()


class Bred(LineageContract):
    config: Mapping[str, Any] = {}

    def breed(
        self, lineage: Lineage, num_objectives: int, seed: int, seeds: Sequence[Genome] = (), budget: int = 200
    ) -> Optimizer:
        return make_optimizer({"name": "m2n2", **self.config}, lineage, num_objectives, seed, seeds, budget)


class TestM2N2(Bred):
    pass


class TestThePapersVariant(Bred):
    config = {"angle": "side", "zeros": "epsilon", "crowd": "archive", "attraction": "z", "duplicates": "keep"}
    num_objectives = 2


class TestWithKinship(Bred):
    config = {"kinship": 0.5, "batch": 1, "warm_up": 0}


class TestGeneticAlgorithm(Bred):
    config = {"alpha": 0, "partner": "fitness", "crossover": "linear", "split": "fixed"}
    learns = False  # a roulette on raw scores hardly selects, and lines lead inwards only


class TestWithoutSplit(Bred):
    config = {"split": "none"}
    learns = False  # no child can take one part from one model and the next from another


class TestMapElites(Bred):
    config = {"name": "map_elites", "bins": 5}
    num_objectives = 2
    breaks_constraints = True  # losses below 0, which that law makes, all share one cell


class TestMapElitesOfOneObjective(Bred):
    config = {"name": "map_elites", "duplicates": "keep", "crossover": "linear", "split": "fixed"}
    learns = False  # a line of elites is little to breed from, and lines lead inwards only


class TestCycleQd(Bred):
    config = {"name": "cycle_qd", "bins": 5, "crossover": "slerp", "split": "evolving"}
    num_objectives = 2
    breaks_constraints = True  # as of MAP-Elites


def test_the_qualities_of_cycle_qd_take_turns() -> None:
    cycle = Cycle(CycleQdConfig(bins=2))
    told = {(1,): (0.1, 0.9), (2,): (0.2, 0.6), (3,): (0.9, 0.1), (4,): (0.3, 0.4)}
    for genome, losses in told.items():
        cycle.take(genome, Scored(losses))
    cycle.take((5,), Scored((0.0, 0.0), violations=(1.0,)))
    # quality 1: of losses of the other above 0.5 (1,) is best, of those below (4,); quality 2: (4,) and (3,)
    assert cycle.members == [(1,), (4,), (3,)]
    assert cycle.best == (4,)
    rng = np.random.default_rng(0)
    pairs = [set(cycle.parents(rng)) for _ in range(4)]
    assert pairs == [{(1,), (4,)}, {(3,), (4,)}] * 2


def bred(config: Mapping[str, Any]) -> Loop:
    loop = Loop(make_optimizer({"name": "m2n2", **config}, LINEAGE, 1, 0, (), 60), TestM2N2().judge)
    loop.run(60, workers=1)
    return loop


def test_the_models_come_first() -> None:
    assert tuple(bred({}).genomes[:3]) == LINEAGE.founders


def test_members_without_a_split_are_mixed_alike_in_a_chromosome() -> None:
    for genome in bred({"split": "none"}).genomes:
        assert len(genome) == 2 * (1 + 3)


def test_a_fixed_split_halves_every_chromosome() -> None:
    stops = {stop for genome in bred({"split": "fixed"}).genomes for stop in genome[:: 1 + 3]}
    assert stops == {6, 12, 18, 24}


def test_a_larger_batch_asks_for_more_at_once() -> None:
    optimizer = make_optimizer({"name": "m2n2", "batch": 7}, LINEAGE, 1, 0, (), 60)
    for number in range(3):
        assert optimizer.ask() == LINEAGE.founders[number]
    assert optimizer.ask() is None
    for number in range(3):
        optimizer.tell(number, Scored((0.5,), items_I=np.full(4, 0.5, np.float32)))
    assert sum(optimizer.ask() is not None for _ in range(20)) == 7


@pytest.mark.parametrize("fails", [lambda number: number == 1, lambda number: number % 2, lambda number: True])
def test_candidates_that_failed_are_no_parents(fails: Any) -> None:
    contract = TestM2N2()
    failed: set[Genome] = set()

    def judge(genome: Genome) -> Scored:
        if fails(len(loop.genomes) - 1):
            failed.add(genome)
            return Scored((1.0,))
        return contract.judge(genome)

    loop = Loop(make_optimizer({"name": "m2n2", "batch": 1}, LINEAGE, 1, 0, (), 40), judge)
    assert len(loop.run(40, workers=1)) == 40
    assert loop.optimizer.favourite() not in failed


def test_a_model_alone_leaves_nothing_to_breed() -> None:
    seed = LINEAGE.founders[1]
    loop = Loop(make_optimizer({"name": "m2n2"}, LINEAGE, 1, 0, (seed,), 60), TestM2N2().judge)
    assert loop.run(60, workers=1) == [seed]


def test_the_favourite_is_the_best_of_the_archive() -> None:
    loop = bred({"members": 50})
    losses = {genome: TestM2N2().judge(genome).losses for genome in loop.genomes}
    assert losses[loop.optimizer.favourite() or ()] == min(losses.values())


def test_every_cell_has_its_best() -> None:
    elites = Elites(MapElitesConfig(bins=4))
    told = {(1,): (0.1, 0.9), (2,): (0.2, 0.8), (4,): (0.9, 0.1), (5,): (0.8, 0.1)}
    for genome, losses in told.items():
        elites.take(genome, Scored(losses))
    assert elites.members == [(1,), (5,)]
    assert elites.best == (5,)
    pairs = {elites.parents(np.random.default_rng(seed)) for seed in range(20)}
    assert pairs == {((1,), (5,)), ((5,), (1,))}


def test_what_cannot_be_is_refused() -> None:
    def problems(tree: Any, genes: Any = LINEAGE, seeds: Any = ()) -> str:
        with pytest.raises(ConfigError) as caught:
            make_optimizer(tree, genes, 1, 0, seeds, 10)
        return str(caught.value)

    gene = FloatGene("a", 0, 1)
    assert problems({"name": "m2n2"}, [gene]).startswith('optimizer.name: "m2n2" breeds members, but')
    assert problems({"name": "nsga2"}).startswith('optimizer.name: "nsga2" moves genes, but')
    assert problems({"name": "m2n2"}, seeds=[(1, 2.0)]) == "seeds[0]: is no member of this lineage."
    assert problems({"name": "m2n2", "crossover": "none", "mutation": 0.1}).count("optimizer.") == 2
    assert M2N2Config().members == 20
