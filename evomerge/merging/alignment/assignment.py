"""Assignment: which unit of a model stands for which unit of the reference."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment

_TIE = 1e-6
"""Share of the gain below which two assignments count as equally good: rounding of sums in float32."""


def assign(gains_NN: torch.Tensor) -> torch.Tensor:
    """The permutation that gains most.

    Git Re-Basin (arXiv:2209.04836), equation 1 for one group: maximise the sum of `gains_NN[i, order_N[i]]`. Units
    stay where they are when no permutation gains more, and when every unit prefers another one, no search is needed.

    Args:
        gains_NN: What is gained when a unit of the model (column) takes the place of a unit of the reference (row).

    Returns:
        int64 (N,): the unit of the model that takes each place.
    """
    stay_N = torch.arange(len(gains_NN))
    order_N = gains_NN.argmax(dim=1)
    if len(set(order_N.tolist())) < len(order_N):
        order_N = torch.from_numpy(linear_sum_assignment(gains_NN.numpy(), maximize=True)[1])
    best = gains_NN[stay_N, order_N]
    return stay_N if gains_NN.trace() >= best.sum() - _TIE * best.abs().sum() else order_N
