"""Sums, products and truncation of low-rank changes, in time and memory that grow with outputs plus inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.checkpoints.factors import Factors


def concatenated(terms: Sequence[Factors], weights: Sequence[float]) -> Factors:
    """The weighted sum of changes, exactly: [c₁B₁ … cₙBₙ]·[A₁; …; Aₙ] = Σ cₖBₖAₖ.

    Averaging the Aₖ and the Bₖ apart is not this sum; it adds the cross terms BₖAₗ.

    Args:
        terms: Changes of one tensor, of any ranks.
        weights: One factor cₖ per term.

    Returns:
        Float32 factors of rank Σ rₖ and scale 1.
    """
    parts = [term.balanced() for term in terms]
    weighted = [part.b_OR * weight for part, weight in zip(parts, weights, strict=True)]
    return parts[0].of(torch.cat(weighted, dim=1), torch.cat([part.a_RI for part in parts]))


def truncated(change: Factors, rank: int) -> Factors:
    """The closest change of a lower rank in the Frobenius norm (Eckart and Young 1936, doi:10.1007/BF02288367).

    Both factors are orthogonalised, so that the singular value decomposition is that of their R×R core:
    O(R²(outputs + inputs)) for factors of rank R.

    Args:
        change: Of any rank.
        rank: At least 1.

    Returns:
        Float32 factors of scale 1 whose units are orthogonal, largest first, each as long in B as in A.
        A change that has no more than `rank` units comes back as it is, balanced.
    """
    part = change.balanced()
    if part.rank <= rank:
        return part
    basis_b_OQ, core_b_QR = torch.linalg.qr(part.b_OR.double())
    basis_a_IP, core_a_PR = torch.linalg.qr(part.a_RI.double().T)
    u_QK, sizes_K, v_KP = torch.linalg.svd(core_b_QR @ core_a_PR.T, full_matrices=False)
    roots_K = sizes_K[:rank].sqrt()
    b_OK = basis_b_OQ @ (u_QK[:, :rank] * roots_K)
    a_KI = (roots_K[:, None] * v_KP[:rank]) @ basis_a_IP.T
    return part.of(b_OK.float(), a_KI.float())


def inner(first: Factors, second: Factors) -> float:
    """Sum over all entries of the product of two changes: tr((BᵀB′)(A′Aᵀ)), an r×r′ sum in float64."""
    outputs_RS = first.b_OR.double().T @ second.b_OR.double()
    inputs_RS = first.a_RI.double() @ second.a_RI.double().T
    return first.scale * second.scale * float((outputs_RS * inputs_RS).sum())


def norm(change: Factors) -> float:
    """Frobenius norm of a change."""
    return math.sqrt(max(inner(change, change), 0.0))
