"""Laws of crossover and mutation (arXiv 2508.16204 eq. 2)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evomerge.optimizers.m2n2.crossover import crossover, mixing_weights, mutate
from evomerge.optimizers.m2n2.settings import M2N2Settings

VECTORS = hnp.arrays(np.float64, 12, elements=st.floats(-3, 3).filter(lambda x: x == 0 or abs(x) > 1e-3))
ANY = st.builds(
    M2N2Settings,
    crossover=st.sampled_from(["slerp", "linear", "none"]),
    angle=st.sampled_from(["whole", "side"]),
    split=st.sampled_from(["evolving", "fixed", "none"]),
)
LINEAR = M2N2Settings(crossover="linear")


def levels(settings, seed=0, chromosomes=(), size=200):
    """What each parameter of a child of nothing and all ones is: the weight of the second parent."""
    rng = np.random.default_rng(seed)
    child = crossover(np.zeros(size), np.ones(size), settings, rng, chromosomes)
    return [(float(value), int((child == value).sum())) for value in dict.fromkeys(child)]


@given(VECTORS, VECTORS, st.floats(0, 1))
def test_slerp_turns_evenly_from_the_first_to_the_second(first, second, t):
    a, b = mixing_weights(first, second, t)
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = first @ second / lengths if lengths else 1.0
    if lengths == 0 or abs(cosine) > 1 - 1e-8:
        assert a + b == pytest.approx(1) or abs(cosine) > 1 - 1e-8
        return
    unit = a * first / np.linalg.norm(first) + b * second / np.linalg.norm(second)
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)
    turned = unit @ first / np.linalg.norm(first)
    assert turned == pytest.approx(math.cos(t * math.acos(cosine)), abs=1e-5)


def test_parallel_and_zero_vectors_are_mixed_on_the_line():
    ones = np.ones(3)
    for second in (2 * ones, np.zeros(3), -ones):
        assert mixing_weights(ones, second, 0.3) == (0.7, 0.3)


@given(VECTORS, ANY, st.integers(0, 99))
def test_a_vector_with_itself_gives_itself(vector, settings, seed):
    child = crossover(vector, vector, settings, np.random.default_rng(seed))
    np.testing.assert_allclose(child, vector, atol=1e-12)
    assert child is not vector


def test_the_weight_turns_into_its_complement_at_the_split_point():
    splits = set()
    for seed in range(50):
        (before, count), *after = levels(LINEAR, seed)
        assert not after or before + after[0][0] == pytest.approx(1)  # a split point of 0 leaves one side
        splits.add(count)
    assert len(splits) > 30
    assert max(splits) - min(splits) > 150


def test_the_split_point_may_be_fixed_or_absent():
    assert [count for _, count in levels(M2N2Settings(crossover="linear", split="fixed"))] == [100, 100]
    assert [count for _, count in levels(M2N2Settings(crossover="linear", split="none"))] == [200]


def test_every_chromosome_has_a_split_point_and_a_weight_of_its_own():
    found = levels(LINEAR, 3, chromosomes=(120, 80))
    assert len(found) == 4
    assert found[0][1] + found[1][1] == 120
    assert found[0][0] + found[1][0] == pytest.approx(1)
    assert found[2][0] + found[3][0] == pytest.approx(1)
    assert found[0][0] != pytest.approx(found[2][0])


@pytest.mark.parametrize("angle", ["whole", "side"])
def test_the_angle_is_the_whole_vectors_or_each_sides(angle):
    first = np.array([1.0, 0.0, 1.0, 1.0])
    second = np.array([0.0, 1.0, 1.0, 1.0])  # at right angles on the left half, parallel on the right
    rng = np.random.default_rng(5)
    t = np.random.default_rng(5).random()
    child = crossover(first, second, M2N2Settings(angle=angle, split="fixed"), rng)
    left = math.pi / 2 if angle == "side" else math.acos(2 / 3)
    assert child[0] == pytest.approx(math.sin((1 - t) * left) / math.sin(left))
    assert child[1] == pytest.approx(math.sin(t * left) / math.sin(left))
    if angle == "side":
        assert child[2] == pytest.approx(1.0)
    else:
        assert child[2] == pytest.approx((math.sin(t * left) + math.sin((1 - t) * left)) / math.sin(left))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_mutation_adds_noise_of_its_deviation_and_keeps_the_dtype(kind):
    child = mutate(np.ones(20_000, kind), 0.1, np.random.default_rng(0))
    assert child.dtype == kind
    assert child.mean() == pytest.approx(1, abs=0.005)
    assert child.std() == pytest.approx(0.1, rel=0.03)
    np.testing.assert_array_equal(mutate(np.ones(3, kind), 0.0, np.random.default_rng(0)), 1)
