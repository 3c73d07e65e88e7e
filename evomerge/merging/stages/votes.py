"""Votes: which experts may speak at each entry."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Vote
from evomerge.recipe.stages import SignVote


def sign(
    vote: SignVote, deltas: Sequence[torch.Tensor], weights: Sequence[Factor], site: Site
) -> Sequence[torch.Tensor]:
    """Those who have the elected sign may speak (TIES, arXiv:2306.01708, section 4, step 2).

    Returns:
        One mask per expert.
    """
    heard = deltas
    if vote.tally == "weighted":
        heard = [delta * weight for delta, weight in zip(deltas, weights, strict=True)]
    return agreeing(heard, elected_sign(heard))


def elected_sign(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sign of the sum over experts; a sum of zero elects plus."""
    total = deltas[0].clone()
    for delta in deltas[1:]:
        total += delta
    return torch.ones_like(total).copysign_(total + 0.0)  # "+ 0.0" turns -0.0 into 0.0


def agreeing(deltas: Sequence[torch.Tensor], sign: torch.Tensor) -> list[torch.Tensor]:
    """Ones at entries with the elected sign, zeros elsewhere, one tensor per expert; a zero agrees with neither."""
    return [(delta * sign).relu_().sign_() for delta in deltas]  # in floats: several times faster than booleans


VOTES: dict[Kind, Vote] = {SignVote: sign}
