import itertools

import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import Loop

GENES: list[Gene] = [
    FloatGene("weight", 0.0, 1.0),
    FloatGene("scale", 0.01, 100.0, scale="log"),
    IntGene("layer", 2, 12),
    IntGene("repeats", 0, 1),
    ChoiceGene("vote", ("none", "sign", "rank", "mean")),
]


def asked(points: int, budget: int, seed: int = 0, seeds: tuple[Genome, ...] = ()) -> list[Genome]:
    optimizer = make_optimizer({"name": "grid", "points": points}, GENES, 1, seed, seeds, budget)
    return Loop(optimizer, lambda _: Scored((0.0,))).run(budget, workers=3)


def test_every_combination_comes_once() -> None:
    values = [(0.0, 0.5, 1.0), (0.01, 1.0, 100.0), (2, 7, 12), (0, 1), ("none", "sign", "rank", "mean")]
    genomes = asked(points=3, budget=1000)
    assert len(genomes) == 3 * 3 * 3 * 2 * 4
    assert set(genomes) == set(itertools.product(*values))


def test_one_point_is_the_middle() -> None:
    assert {genome[:3] for genome in asked(points=1, budget=100)} == {(0.5, 1.0, 7)}


def test_a_small_budget_sees_whole_ranges() -> None:
    for values in zip(*asked(points=3, budget=40), strict=True):
        assert len(set(values)) in (2, 3, 4)
    assert len({genome[0] for genome in asked(points=3, budget=40)}) == 3


def test_a_larger_budget_goes_on_where_a_smaller_one_stopped() -> None:
    assert asked(points=4, budget=90)[:30] == asked(points=4, budget=30)


@pytest.mark.parametrize("seed", [(0.5, 1.0, 7, 0, "sign"), (0.3, 1.0, 7, 0, "sign")])
def test_seeds_come_first_and_once(seed: Genome) -> None:
    genomes = asked(points=3, budget=1000, seeds=(seed,))
    assert genomes[0] == seed
    assert len(set(genomes)) == len(genomes) == 216 + (seed[0] == 0.3)


def test_a_grid_too_large_to_list_is_no_trouble() -> None:
    genes = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(100)]
    optimizer = make_optimizer({"name": "grid", "points": 1000}, genes, 1, 0, (), 60)
    assert len(set(Loop(optimizer, lambda _: Scored((0.0,))).run(60, workers=1))) == 60
