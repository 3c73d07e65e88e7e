"""Votes: which experts may speak at each entry."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def elected_sign(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sign of the sum over experts; a sum of zero elects plus (TIES, arXiv:2306.01708, section 4, step 2)."""
    total = torch.zeros_like(deltas[0])
    for delta in deltas:
        total += delta
    return torch.where(total >= 0, 1.0, -1.0)


def agreeing(deltas: Sequence[torch.Tensor], sign: torch.Tensor) -> list[torch.Tensor]:
    """Boolean masks, one per expert, of the entries with the elected sign; a zero agrees with neither."""
    return [torch.sign(delta) == sign for delta in deltas]
