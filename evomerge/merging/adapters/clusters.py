"""Clusters: weighted k-means over few points of many dimensions, the same for the same generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

_RESTARTS = 10
_MAX_ROUNDS = 300


def k_means(points_ND: Floats, weights_N: Floats, num_clusters: int, generator: np.random.Generator) -> Labels:
    """Groups points by weighted k-means: Lloyd's rounds from k-means++ starts, the best of ten.

    Distances between the N points are all that counts, so the rounds run in N coordinates however large D is.

    Args:
        points_ND: One point per row.
        weights_N: How many times each point counts; positive.
        num_clusters: At least 1.
        generator: Of the starts.

    Returns:
        The cluster of every point, (N,), counted from 0; fewer clusters than wanted only where points coincide.
    """
    if num_clusters >= len(points_ND):
        return np.arange(len(points_ND))
    coordinates_NN: Floats = np.linalg.qr(points_ND.T)[1].T
    runs = [_lloyd(coordinates_NN, weights_N, num_clusters, generator) for _ in range(_RESTARTS)]
    return min(runs, key=lambda run: run[0])[1]


def centres(points_ND: Floats, weights_N: Floats, clusters_N: Labels) -> Floats:
    """Weighted mean of every cluster, one per row, (K, D)."""
    shares_KN = (clusters_N == np.arange(clusters_N.max() + 1)[:, None]) * weights_N
    means_KD: Floats = (shares_KN / shares_KN.sum(axis=1, keepdims=True)) @ points_ND
    return means_KD


def _lloyd(
    points_ND: Floats, weights_N: Floats, num_clusters: int, generator: np.random.Generator
) -> tuple[float, Labels]:
    """One run: the weighted sum of squared distances to the centres, and the clusters."""
    middles_KD = _spread(points_ND, weights_N, num_clusters, generator)
    clusters_N: Labels = np.full(len(points_ND), -1)
    for _ in range(_MAX_ROUNDS):
        squares_NK = cdist(points_ND, middles_KD, "sqeuclidean")
        nearest_N = _filled(squares_NK.argmin(axis=1), squares_NK.min(axis=1) * weights_N, num_clusters)
        if np.array_equal(nearest_N, clusters_N):
            break
        clusters_N, middles_KD = nearest_N, centres(points_ND, weights_N, nearest_N)
    own_N = ((points_ND - middles_KD[clusters_N]) ** 2).sum(axis=1)
    return float(own_N @ weights_N), clusters_N


def _filled(clusters_N: Labels, costs_N: Floats, num_clusters: int) -> Labels:
    """Gives each empty cluster the point that fits its own worst; labels without a gap."""
    for empty in np.setdiff1d(np.arange(num_clusters), clusters_N):
        worst = int(costs_N.argmax())
        if costs_N[worst] > 0:
            clusters_N[worst], costs_N[worst] = empty, 0.0
    return np.unique(clusters_N, return_inverse=True)[1]


def _spread(points_ND: Floats, weights_N: Floats, num_clusters: int, generator: np.random.Generator) -> Floats:
    """Starting points far from one another (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(generator.choice(len(points_ND), p=weights_N / weights_N.sum()))]
    while len(chosen) < num_clusters:
        odds_N = cdist(points_ND, points_ND[chosen], "sqeuclidean").min(axis=1) * weights_N
        odds_N = odds_N if odds_N.any() else weights_N
        chosen.append(int(generator.choice(len(points_ND), p=odds_N / odds_N.sum())))
    return points_ND[chosen]
