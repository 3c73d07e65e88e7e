import numpy as np
import pytest

from evomerge.optimizers.box import Box
from evomerge.optimizers.map_pair import MapPair
from evomerge.spaces.genes import FloatGene, Genome

GENES = [FloatGene(f"weight{i}", 0.0, 2.0) for i in range(3)]
BASE, MATH, JA = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.5, 1.0)


def made(origin: Genome = BASE, size: int = 14) -> MapPair:
    return MapPair(Box(GENES), origin, (MATH, JA), size, np.random.default_rng(0))


def test_a_merge_is_the_sum_of_what_the_models_add_to_the_origin() -> None:
    assert made().merge(np.array([0.5, 0.8])) == pytest.approx((0.5, 0.4, 0.8))
    assert made(origin=(1.0, 0.5, 0.0)).merge(np.array([0.5, 0.5])) == pytest.approx((0.5, 0.25, 0.5))


def test_coefficients_of_one_alone_give_the_models_back() -> None:
    assert made().merge(np.array([1.0, 0.0])) == MATH
    assert made().merge(np.array([0.0, 1.0])) == JA


def test_the_design_begins_with_the_models_and_covers_the_plane() -> None:
    design = made().design
    assert design[:2] == (MATH, JA)
    first_12, second_12 = np.array(design[2:], dtype=float)[:, [0, 2]].T
    for coefficients_12 in (first_12, second_12):
        assert sorted(np.floor(coefficients_12 / 1.5 * 12)) == list(range(12))


def test_merges_stay_in_the_genes() -> None:
    pair = MapPair(Box(GENES), BASE, ((2.0, 2.0, 2.0), (2.0, 0.0, 0.0)), 12, np.random.default_rng(0))
    assert all(gene.contains(value) for genome in pair.design for gene, value in zip(GENES, genome, strict=True))
    assert pair.merge(np.array([1.5, 1.5])) == (2.0, 2.0, 2.0)


def test_a_quadratic_behind_a_sigmoid_is_found_again_from_its_own_merges_alone() -> None:
    def loss(first: float, second: float) -> float:
        return float(1 / (1 + np.exp(1.5 - 3 * (first - 0.8) ** 2 - 2 * (second - 0.4) ** 2 - first * second)))

    pair = made(size=30)
    genomes = [*pair.design, (0.3, 2.0, 0.1)]  # the last is no sum of the two
    losses = [loss(float(genome[0]), float(genome[2])) for genome in pair.design] + [0.0]
    values_N1 = np.array(losses)[:, None]
    expected_P1 = pair.expected(genomes, values_N1, np.zeros_like(values_N1), "sigmoid", 100.0)
    assert expected_P1[:, 0] == pytest.approx([loss(*coefficients) for coefficients in pair.grid_P2], abs=0.02)


def test_one_model_twice_is_a_line() -> None:
    pair = MapPair(Box(GENES), BASE, (JA, JA), 12, np.random.default_rng(0))
    assert all(genome[0] == 0 for genome in pair.design)
    values_N1 = np.full((len(pair.design), 1), 0.5)
    assert np.isfinite(pair.expected(pair.design, values_N1, np.zeros_like(values_N1), "sigmoid", 1.0)).all()
