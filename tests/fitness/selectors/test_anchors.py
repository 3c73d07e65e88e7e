import numpy as np
import pytest

from evomerge.fitness.selectors.anchors import anchor_items, k_means


def clouds() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.repeat([[0.0, 0], [10, 0], [0, 10]], [20, 10, 5], axis=0)
    return centres + rng.normal(0, 0.3, centres.shape)


def test_k_means_finds_separate_clouds() -> None:
    clusters, distances = k_means(clouds(), 3, np.random.default_rng(1))
    assert sorted(np.bincount(clusters)) == [5, 10, 20]
    assert all(len(set(part)) == 1 for part in np.split(clusters, [20, 30]))
    largest = clouds()[:20]
    assert distances[:20] == pytest.approx(((largest - largest.mean(0)) ** 2).sum(1))


def test_an_anchor_is_the_item_nearest_to_its_centre() -> None:
    points, selector = clouds(), anchor_items(clouds(), 3, seed=1)
    for anchor, (first, last) in zip(selector.order_N[:3], [(0, 20), (20, 30), (30, 35)], strict=True):
        cloud = points[first:last]
        assert anchor == first + ((cloud - cloud.mean(0)) ** 2).sum(1).argmin()
    assert sorted(selector.order_N) == list(range(35))


def test_fewer_different_items_than_anchors_are_enough() -> None:
    responses = np.array([[0.0, 1], [1, 1]] * 5)
    selector = anchor_items(responses, 4, seed=0)
    assert selector.design.strata_N.max() == 1
    assert len(set(selector.order_N[:4])) == 4
    assert np.bincount(selector.design.strata_N[selector.order_N[:4]]).tolist() == [2, 2]
