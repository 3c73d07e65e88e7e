import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.testing.optimizers import Loop

NUM_EXPERTS = 5
GENES = [FloatGene(f"weight{i}", 0.0, 1.5) for i in range(NUM_EXPERTS)]
EXPERTS = [tuple(1.0 if i == expert else 0.0 for i in range(NUM_EXPERTS)) for expert in range(NUM_EXPERTS)]
CONFIG = {"name": "map_nested", "startup": NUM_EXPERTS}


def skills(genome: Genome) -> Scored:
    """Every expert is good at one task, and harms the others a little."""
    weights_M = np.array(genome, dtype=float)
    psi_M = 2.5 - 4 * (weights_M - 0.9) ** 2 - 0.8 * (weights_M.sum() - weights_M)
    return Scored(tuple((1 / (1 + np.exp(psi_M))).tolist()))


def made(budget: int = 200, seeds: list[Genome] | None = None) -> Optimizer:
    return make_optimizer(CONFIG, GENES, NUM_EXPERTS, 0, EXPERTS if seeds is None else seeds, budget)


def generations(optimizer: Optimizer, count: int) -> list[list[Genome]]:
    asked: list[list[Genome]] = []
    for _ in range(count):
        generation = []
        while (genome := optimizer.ask()) is not None:
            generation.append(genome)
        first = sum(map(len, asked))
        for number, genome in enumerate(generation, first):
            optimizer.tell(number, skills(genome))
        asked.append(generation)
    return asked


def test_experts_are_merged_in_pairs_and_pairs_of_pairs() -> None:
    experts, pairs, fours, root, front = generations(made(), 5)
    assert experts == EXPERTS
    # Both of 12 that are the experts themselves are known.
    assert [len(generation) for generation in (pairs, fours, root, front)] == [20, 12, 11, 10]
    for genome in pairs[:10]:
        assert genome[2:] == (0, 0, 0)
    for genome in pairs[10:]:
        assert genome[:2] == (0, 0)
        assert genome[4] == 0
    merged_F5 = np.array(fours, dtype=float)
    assert (merged_F5[:, 4] == 0).all()
    for first, second in ((0, 1), (2, 3)):  # in each pair a ratio that was found
        has = (merged_F5[:, [first, second]] > 0).all(axis=1) & (merged_F5[:, [first, second]] < 1.5).all(axis=1)
        ratios = merged_F5[has, first] / merged_F5[has, second]
        assert ratios == pytest.approx(ratios[0], rel=1e-3)
    assert any(genome[4] > 0 for genome in root)


def test_the_first_tree_costs_one_design_less_than_objectives() -> None:
    optimizer = made()
    asked = generations(optimizer, 4)
    assert sum(map(len, asked)) == NUM_EXPERTS + (NUM_EXPERTS - 1) * 12 - NUM_EXPERTS  # experts are in the designs
    assert optimizer.favourite() is None
    assert optimizer.ask() is not None
    assert optimizer.favourite() is not None


def test_with_equal_preferences_it_finds_the_best_sum() -> None:
    optimizer = made()
    generations(optimizer, 5)
    favourite = optimizer.favourite()
    assert favourite is not None
    axis = np.linspace(0, 1.5, 31)
    best = min(float(np.mean(skills((weight,) * NUM_EXPERTS).losses)) for weight in axis)
    assert np.mean(skills(favourite).losses) < best + 0.02
    assert best + 0.05 < np.mean(skills(EXPERTS[0]).losses)


def test_further_trees_have_other_preferences_and_reuse_the_leaves() -> None:
    asked = generations(made(), 8)
    second_tree = asked[5]
    assert len(second_tree) == 12  # two pairs of leaves are known already, and one merge of four is new
    assert set(second_tree).isdisjoint(asked[2])


def test_nothing_but_sums_of_leaves_is_tried() -> None:
    genes = [FloatGene(f"weight{i}", 0.0, 3.0) for i in range(6)]
    leaves = [(1.0, 0.5, 0.0, 0.0, 0.0, 0.2), (0.0, 0.0, 0.0, 1.0, 0.7, 0.0)]

    def judge(genome: Genome) -> Scored:
        return Scored(tuple(float(np.mean((np.array(genome) - leaf) ** 2)) for leaf in leaves))

    optimizer = make_optimizer({"name": "map_nested", "startup": 2}, genes, 2, 0, leaves, 60)
    for genome in Loop(optimizer, judge).run(60, workers=1):
        missed_6 = np.linalg.lstsq(np.array(leaves).T, np.array(genome), rcond=None)[1]
        assert np.sum(missed_6) < 1e-6


def test_a_first_generation_of_random_candidates_will_do() -> None:
    optimizer = make_optimizer({"name": "map_nested", "startup": 2}, GENES, NUM_EXPERTS, 0, (), 60)
    first, *_ = generations(optimizer, 4)
    assert len(first) == NUM_EXPERTS  # one for each leaf


def test_one_objective_has_no_tree() -> None:
    with pytest.raises(ConfigError, match='"map_nested" takes two objectives or more'):
        make_optimizer(CONFIG, GENES, 1, 0, (), 60)
