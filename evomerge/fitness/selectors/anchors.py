"""Anchors: the items nearest to the centres of clusters of alike items, each standing for its cluster."""

from __future__ import annotations

from typing import Final

import numpy as np

from evomerge.fitness.answers import Design
from evomerge.fitness.irt.model import Floats, Items
from evomerge.fitness.selectors.base import Ordered

VARIANCE_GAIN: Final = 4.0
_ROUNDS = 25


def anchor_items(features_NF: Floats, num_anchors: int, seed: int) -> Ordered:
    """Anchors of tinyBenchmarks (2402.14992, §3), those of large clusters first.

    Asked on, the order goes to the second nearest item of every cluster, and so on. There are as many clusters as
    anchors, or fewer if the features have fewer different rows.

    Args:
        features_NF: What makes items alike: the calibration models' responses ("correctness"), or the parameters
            (a, b) of a bank ("IRT").
        num_anchors: How many clusters.
        seed: Of the first centres.
    """
    clusters_N, distances_N = k_means(features_NF, num_anchors, np.random.default_rng(seed))
    sizes_C = np.bincount(clusters_N)
    near_first_N = np.lexsort((distances_N, clusters_N))
    rank_N = np.empty(len(clusters_N), np.intp)
    rank_N[near_first_N] = np.concatenate([np.arange(size) for size in sizes_C])
    order_N = np.lexsort((clusters_N, -sizes_C[clusters_N], rank_N))
    return Ordered(order_N, Design(clusters_N, VARIANCE_GAIN))


def k_means(points_NF: Floats, num_clusters: int, rng: np.random.Generator) -> tuple[Items, Floats]:
    """Lloyd's algorithm from the starting points of k-means++.

    Returns:
        Each point's cluster, from 0 without gaps, shape (N,), and its squared distance to the centre.
    """
    num_points = len(points_NF)
    centres_CF = points_NF[[rng.integers(num_points)]]
    nearest_N = _squared_distances(points_NF, centres_CF)[:, 0]
    for _ in range(1, min(num_clusters, num_points)):
        nearest_N[nearest_N < 1e-9] = 0  # rounding, of points that are a centre already
        if not nearest_N.any():
            break
        centre_1F = points_NF[[rng.choice(num_points, p=nearest_N / nearest_N.sum())]]
        centres_CF = np.vstack([centres_CF, centre_1F])
        nearest_N = np.minimum(nearest_N, _squared_distances(points_NF, centre_1F)[:, 0])
    for _ in range(_ROUNDS):
        clusters_N = _squared_distances(points_NF, centres_CF).argmin(1)
        filled_C = np.unique(clusters_N)
        moved_CF = np.array([points_NF[clusters_N == cluster].mean(0) for cluster in filled_C])
        if moved_CF.shape == centres_CF.shape and np.allclose(moved_CF, centres_CF):
            break
        centres_CF = moved_CF
    distances_NC = _squared_distances(points_NF, centres_CF)
    _, clusters_N = np.unique(distances_NC.argmin(1), return_inverse=True)
    return clusters_N.astype(np.intp), distances_NC.min(1)


def _squared_distances(points_NF: Floats, centres_CF: Floats) -> Floats:
    squares_NC: Floats = (points_NF**2).sum(1)[:, None] - 2 * points_NF @ centres_CF.T + (centres_CF**2).sum(1)
    return np.maximum(squares_NC, 0)
