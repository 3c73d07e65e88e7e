"""k-means: finds what is there, never leaves a cluster empty, and says the same twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.adapters.clusters import centres, k_means

SEEDS = st.integers(0, 2**31)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@given(SEEDS, st.integers(1, 5))
def test_groups_that_lie_apart_are_found(seed: int, num_groups: int) -> None:
    rng = np.random.default_rng(seed)
    groups_N = rng.permutation(np.repeat(np.arange(num_groups), 4))
    points_ND = 100.0 * groups_N[:, None] + rng.normal(size=(len(groups_N), 30))
    clusters_N = k_means(points_ND, np.ones(len(groups_N)), num_groups, generator())
    assert len({*zip(groups_N.tolist(), clusters_N.tolist(), strict=True)}) == num_groups


@given(SEEDS, st.integers(1, 12), st.integers(1, 12))
def test_every_cluster_has_members_and_is_nearest_to_its_own_centre(seed: int, count: int, num_clusters: int) -> None:
    rng = np.random.default_rng(seed)
    points_ND, weights_N = rng.normal(size=(count, 5)), rng.uniform(0.1, 2, size=count)
    clusters_N = k_means(points_ND, weights_N, num_clusters, generator())
    assert sorted({*clusters_N.tolist()}) == list(range(min(count, num_clusters)))
    middles_KD = np.stack(
        [np.average(points_ND[clusters_N == k], axis=0, weights=weights_N[clusters_N == k]) for k in {*clusters_N}]
    )
    np.testing.assert_allclose(centres(points_ND, weights_N, clusters_N), middles_KD)
    squares_NK = ((points_ND[:, None] - middles_KD) ** 2).sum(axis=2)
    assert (squares_NK[np.arange(count), clusters_N] <= squares_NK.min(axis=1) + 1e-9).all()


def test_the_same_generator_gives_the_same_clusters() -> None:
    points_ND = np.random.default_rng(0).normal(size=(20, 3))
    first, second = (k_means(points_ND, np.ones(20), 6, generator()) for _ in range(2))
    assert (first == second).all()


def test_points_that_coincide_do_no_harm() -> None:
    clusters_N = k_means(np.ones((5, 2)), np.ones(5), 3, generator())
    np.testing.assert_allclose(centres(np.ones((5, 2)), np.ones(5), clusters_N), 1.0)
    assert k_means(np.zeros((5, 2)), np.ones(5), 3, generator()).tolist() == [0] * 5
