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
        One boolean mask per expert.
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
    return torch.where(total >= 0, 1.0, -1.0)


def agreeing(deltas: Sequence[torch.Tensor], sign: torch.Tensor) -> list[torch.Tensor]:
    """Boolean masks, one per expert, of the entries with the elected sign; a zero agrees with neither."""
    return [delta * sign > 0 for delta in deltas]


VOTES: dict[Kind, Vote] = {SignVote: sign}
