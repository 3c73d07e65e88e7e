"""LoRA-LEGO: the rank-1 units of all adapters, clustered, and one unit in place of each cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.clusters import Floats, Labels, centres, k_means


def lego(terms: Sequence[Factors], weights: Sequence[float], rank: int, generator: np.random.Generator) -> Factors:
    """Merge changes of one tensor by clustering their units (LoRA-LEGO, arXiv:2409.16167, section 3).

    A unit is a row of A beside the column of B that it is multiplied by. The units of all adapters are grouped by
    k-means, and each cluster is replaced by its mean. A mean is shorter than its members, so it is brought back to
    their mean length (in the largest entry); a merged adapter of another rank has another variance, so it is
    multiplied by √(r/k), r being the adapters' own rank (their mean where they differ).

    Args:
        terms: Changes of one tensor, of any ranks.
        weights: How often each adapter's units count, positive; the paper counts all alike.
        rank: k, the number of clusters; with as many units as that or fewer, every unit stays.
        generator: Of the starting points of k-means.

    Returns:
        Float32 factors of rank `rank` or less and scale 1.
    """
    parts = [term.balanced() for term in terms]
    units_ND = torch.cat([torch.cat([part.a_RI, part.b_OR.T], dim=1) for part in parts]).double().numpy()
    weights_N = np.repeat(np.asarray(weights, dtype=np.float64), [part.rank for part in parts])
    clusters_N = k_means(units_ND, weights_N, rank, generator)
    merged_KD = torch.from_numpy(_restored(units_ND, weights_N, clusters_N))
    mean_rank = len(units_ND) / len(parts)
    merged_KD *= (mean_rank / len(merged_KD)) ** 0.25  # on both factors, so √(r/k) on their product
    inputs = parts[0].a_RI.shape[1]
    return parts[0].of(merged_KD[:, inputs:].T.float(), merged_KD[:, :inputs].float())


def _restored(units_ND: Floats, weights_N: Floats, clusters_N: Labels) -> Floats:
    """The centres at the mean length of their members, length being the largest magnitude."""
    centres_KD = centres(units_ND, weights_N, clusters_N)
    lengths_N = np.abs(units_ND).max(axis=1, keepdims=True)
    wanted_K = centres(lengths_N, weights_N, clusters_N)[:, 0]
    found_K = np.abs(centres_KD).max(axis=1)
    restored_KD: Floats = centres_KD * (wanted_K / np.where(found_K > 0, found_K, 1.0))[:, None]
    return restored_KD
