"""Restoration: how much of what the gates took is given back."""

from __future__ import annotations

import torch


def inverse(gated: torch.Tensor, density: float) -> torch.Tensor:
    """Divide by the density, which keeps the expectation (DARE, arXiv:2311.03099, equation 2)."""
    return gated / density


def l1(gated: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """Scale to the L1 norm that the tensor had before the gates, as mergekit's DARE does.

    Args:
        gated: After the gates.
        delta: Before them.

    Returns:
        The scaled tensor; zero stays zero.
    """
    norm = gated.abs().sum()
    return gated if norm == 0 else gated * (delta.abs().sum() / norm)
