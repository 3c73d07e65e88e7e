"""Laws of competition, against the paper's sums written out plainly (arXiv 2508.16204 eqs. 3 and 5)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evomerge.optimizers.m2n2.competition import fitness, fitness_beside
from evomerge.optimizers.m2n2.settings import CODE, PAPER, M2N2Settings

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)
SCORES = st.one_of(
    hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 1.0])),
    hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
)


def plainly(scores, alpha, epsilon):
    members, items = scores.shape
    shared = []
    for i in range(members):
        total = 0.0
        for j in range(items):
            crowd = sum(scores[k, j] for k in range(members))
            total += max(scores[:, j]) * scores[i, j] / (crowd**alpha + epsilon)
        shared.append(total)
    return shared


@given(SCORES, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_fitness_is_the_papers_sum(scores, alpha):
    expected = plainly(scores, alpha, 1e-8)
    np.testing.assert_allclose(fitness(scores, M2N2Settings(alpha=alpha, zeros="epsilon")), expected, atol=1e-6)
    np.testing.assert_allclose(fitness(scores, M2N2Settings(alpha=alpha, zeros="one")), expected, atol=1e-6)


@given(SCORES, st.sampled_from([PAPER, CODE]))
def test_an_item_pays_its_capacity_in_all(scores, settings):
    assert fitness(scores, settings).sum() == pytest.approx(scores.max(axis=0).sum(), abs=1e-5)


def test_a_capacity_of_one_pays_one_for_a_half_solved_item():
    scores = np.array([[0.5], [0.25]])
    assert fitness(scores, M2N2Settings()).sum() == pytest.approx(0.5)
    assert fitness(scores, M2N2Settings(capacity="one")).sum() == pytest.approx(1.0)


@given(SCORES)
def test_without_competition_fitness_is_the_plain_sum(scores):
    binary = (scores > 0).astype(float)
    np.testing.assert_allclose(fitness(binary, M2N2Settings(alpha=0.0)), binary.sum(axis=1))


@given(SCORES)
def test_equal_members_are_exactly_equally_fit(scores):
    fitness_P = fitness(np.vstack([scores, scores]), CODE)
    np.testing.assert_array_equal(fitness_P[: len(scores)], fitness_P[len(scores) :])


def test_a_rare_skill_is_worth_more_than_a_common_one():
    common, rare = fitness(np.array([[1, 0], [1, 0], [0, 1.0]]), CODE)[1:]
    assert rare == pytest.approx(2 * common)


def test_above_the_worst_what_everybody_scores_is_worth_nothing():
    scores = np.array([[0.9, 0.8], [0.9, 0.7]])
    np.testing.assert_allclose(fitness(scores, M2N2Settings(floor="worst")), [0.1, 0.0])


def test_the_crowd_may_leave_the_child_out():
    scores, child = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    of_members, of_child = fitness_beside(scores, child, M2N2Settings(crowd="with_child"))
    assert (*of_members, of_child) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    of_members, of_child = fitness_beside(scores, child, M2N2Settings(crowd="archive"))
    assert (*of_members, of_child) == pytest.approx((1 / 2, 1 / 2, 1 / 2))


def test_what_only_the_child_solves_pays_without_bound_in_the_paper_and_once_in_the_code():
    scores, child = np.array([[1.0, 0.0]]), np.array([0.0, 1.0])
    assert fitness_beside(scores, child, PAPER)[1] > 1e6
    assert fitness_beside(scores, child, CODE)[1] == 1.0
