"""Laws of attraction and of the roulette (arXiv 2508.16204 eq. 4)."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evomerge.optimizers.m2n2.attraction import attraction, draw, draw_pair, draw_parents
from evomerge.optimizers.m2n2.settings import CODE, PAPER, M2N2Settings

SCORES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
VARIANTS = st.sampled_from([PAPER, CODE, M2N2Settings(alpha=2.0), M2N2Settings(floor="worst"), M2N2Settings(alpha=0)])


def plainly(scores, first, exponent):
    members, items = scores.shape
    wanted = []
    for b in range(members):
        total = 0.0
        for j in range(items):
            crowd = sum(scores[k, j] for k in range(members))
            total += max(scores[:, j]) / (crowd**exponent + 1e-8) * max(scores[b, j] - scores[first, j], 0.0)
        wanted.append(total)
    return wanted


@given(SCORES)
def test_attraction_is_the_papers_sum_or_the_codes(scores):
    by_z = attraction(scores, 0, M2N2Settings(alpha=2.0, attraction="z"))
    np.testing.assert_allclose(by_z, plainly(scores, 0, 1.0), atol=1e-6)
    by_power = attraction(scores, 0, M2N2Settings(alpha=2.0, attraction="z_alpha"))
    np.testing.assert_allclose(by_power, plainly(scores, 0, 2.0), atol=1e-5)


@given(SCORES, VARIANTS)
def test_nobody_attracts_itself(scores, settings):
    for first in range(len(scores)):
        assert attraction(scores, first, settings)[first] == 0.0


def test_relatives_attract_less():
    scores = np.array([[0, 0, 1], [1, 0, 0], [0, 1.0, 0]])
    kinship = np.array([1.0, 0.8, -0.3])
    plain = attraction(scores, 0, CODE, kinship)
    np.testing.assert_array_equal(plain, attraction(scores, 0, CODE))
    wary = attraction(scores, 0, M2N2Settings(kinship=0.5), kinship)
    np.testing.assert_allclose(wary, plain * [0.5, 0.6, 1.0])


@given(SCORES, VARIANTS, st.integers(0, 2**32))
def test_parents_are_found_whatever_the_scores(scores, settings, seed):
    with np.errstate(all="raise"):
        first, second = draw_parents(scores, settings, np.random.default_rng(seed), np.ones((len(scores),) * 2))
    assert 0 <= first < len(scores)
    assert 0 <= second < len(scores)
    assert first != second or len(scores) == 1


@pytest.mark.parametrize("scores", [np.zeros((4, 3)), np.ones((4, 3)), np.full((4, 3), 0.5)])
def test_members_that_are_all_alike_find_partners_evenly(scores):
    rng = np.random.default_rng(0)
    pairs = Counter(draw_parents(scores, CODE, rng) for _ in range(1200))
    assert set(pairs) == {(a, b) for a in range(4) for b in range(4) if a != b}
    assert min(pairs.values()) > 50


def test_by_fitness_a_member_may_meet_itself():
    rng = np.random.default_rng(0)
    pairs = Counter(draw_parents(np.eye(2), M2N2Settings(partner="fitness"), rng) for _ in range(400))
    assert len(pairs) == 4


def test_the_roulette_draws_in_proportion():
    rng = np.random.default_rng(0)
    counts = Counter(draw(np.array([0.0, 1.0, 0.0, 3.0, 0.0]), rng) for _ in range(4000))
    assert set(counts) == {1, 3}
    assert counts[3] / 4000 == pytest.approx(0.75, abs=0.03)
    assert draw(np.zeros(3), rng) is None


def test_pairs_differ_where_they_can():
    rng = np.random.default_rng(0)
    assert draw_pair(1, rng) == (0, 0)
    assert {draw_pair(3, rng) for _ in range(200)} == {(a, b) for a in range(3) for b in range(3) if a != b}
