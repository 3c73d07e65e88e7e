"""Norms and inner products of task vectors, added up in float64 without a copy of the whole tensor in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

_SPAN = 1 << 18


def inner_products(deltas: Sequence[torch.Tensor]) -> npt.NDArray[np.float64]:
    """The inner products ⟨τ_j, τ_k⟩ of all pairs of experts.

    Args:
        deltas: One tensor per expert, of one shape.

    Returns:
        gram_EE: Symmetric, experts by experts.
    """
    flats = [delta.flatten() for delta in deltas]
    # over 10^8 entries a float32 sum loses the angle between close models
    gram = torch.zeros(len(flats), len(flats), dtype=torch.float64)
    for start in range(0, flats[0].numel(), _SPAN):
        span = torch.stack([flat[start : start + _SPAN] for flat in flats]).double()
        gram += (span @ span.T).cpu()
    return np.asarray(gram.numpy())


def mean_cosine(gram_EE: npt.NDArray[np.float64]) -> float:
    """The mean over pairs of experts of the cosine between them; 0 for a pair with a vector of zeros."""
    norms = np.sqrt(np.diag(gram_EE))
    products = np.outer(norms, norms)
    cosines = np.divide(gram_EE, products, out=np.zeros_like(gram_EE), where=products > 0)
    return float(np.mean(np.clip(cosines[np.triu_indices_from(cosines, 1)], -1, 1)))


def mean_row_cosine(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean over pairs of experts of the cosine between their rows, along the last axis, which stays as one.

    Returns:
        Float64; 0 where a row of a pair is zero.
    """
    doubles = [delta.double() for delta in deltas]
    norms = [_sum_rows(double.square()).sqrt() for double in doubles]
    cosines = []
    for (one, norm), (other, other_norm) in itertools.combinations(zip(doubles, norms, strict=True), 2):
        product = norm * other_norm
        cosine = _sum_rows(one * other) / torch.where(product > 0, product, 1.0)
        cosines.append(torch.where(product > 0, cosine, 0.0).clamp(-1, 1))
    return torch.stack(cosines).mean(dim=0)


def _sum_rows(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.sum(dim=-1, keepdim=True) if tensor.ndim else tensor


def square_norm(delta: torch.Tensor) -> float:
    """Sum of squares."""
    return float(inner_products([delta])[0, 0])


def root_mean_square(delta: torch.Tensor) -> float:
    """Root of the mean square of all entries; 0 where there are none."""
    return float(np.sqrt(square_norm(delta) / delta.numel())) if delta.numel() else 0.0
