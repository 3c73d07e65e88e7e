"""Heads: whether value and output projections are the base's in another basis or another order of heads."""

from __future__ import annotations

from typing import TypeAlias

import torch
from scipy.optimize import linear_sum_assignment

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Weights of the value projection (heads · size, width) and of the output projection (width, all heads · size)."""


def undo_value_gauge(base: Pair, expert: Pair, num_heads: int) -> Pair:
    """The expert's projections in the base's basis and order of heads, as near as one linear map per head gets.

    V_h → R_h V_h with O_h → O_h R_h⁻¹ leaves the model's function unchanged for any invertible R_h, and moves every
    entry (MergeLock, arXiv 2509.01548). R_h⁻¹ is found by least squares of the expert's V_h against the base's; the
    outputs, which the fit does not see, then tell whether it was a gauge: they return to the base's only if it was.

    Args:
        base: The base's projections.
        expert: The expert's.
        num_heads: Of the values, which several query heads may share.

    Returns:
        The repaired projections, float64, in the shapes given.
    """
    base_HSW, _ = _by_head(base, num_heads)
    value_HSW, output_HQS = _by_head(expert, num_heads)
    order = _order(base_HSW, value_HSW)
    value_HSW, output_HQS = value_HSW[order], output_HQS[order]
    undo_HSS = torch.linalg.lstsq(value_HSW.mT, base_HSW.mT).solution.mT
    return _joined(undo_HSS @ value_HSW, output_HQS @ torch.linalg.pinv(undo_HSS))


def _by_head(pair: Pair, num_heads: int) -> Pair:
    """Values (H, S, W), and outputs (H, W · queries per head, S) with the rows of a shared head one below the other."""
    value, output = (tensor.to(torch.float64) for tensor in pair)
    value_HSW = value.reshape(num_heads, -1, value.shape[1])
    size = value_HSW.shape[1]
    output_HQS = output.reshape(output.shape[0], num_heads, -1, size).permute(1, 2, 0, 3).reshape(num_heads, -1, size)
    return value_HSW, output_HQS


def _joined(value_HSW: torch.Tensor, output_HQS: torch.Tensor) -> Pair:
    num_heads, size, width = value_HSW.shape
    by_query = output_HQS.reshape(num_heads, -1, width, size).permute(2, 0, 1, 3)
    return value_HSW.reshape(-1, width), by_query.reshape(width, -1)


def _order(base_HSW: torch.Tensor, value_HSW: torch.Tensor) -> list[int]:
    """The expert's head for each head of the base: those whose row spaces share most, together."""
    bases_HWS = torch.linalg.qr(base_HSW.mT).Q.to(torch.float32)
    shared_HH = torch.einsum("hsw,gwt->hgst", value_HSW.to(torch.float32), bases_HWS).square().sum((2, 3))
    shared_HH = shared_HH / value_HSW.square().sum((1, 2)).clamp_min(1e-30)[:, None]
    own, theirs = linear_sum_assignment(shared_HH.numpy(), maximize=True)
    return [int(own[list(theirs).index(head)]) for head in range(len(own))]
