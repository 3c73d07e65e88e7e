"""Votes: which experts may speak at each entry."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.norms import root_mean_square
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Vote
from evomerge.recipe.numbers import of_expert
from evomerge.recipe.stages import NonzeroVote, SignVote, TallVote


def sign(
    vote: SignVote, deltas: Sequence[torch.Tensor], weights: Sequence[Factor], site: Site
) -> Sequence[torch.Tensor]:
    """Those who have the elected sign may speak (TIES, arXiv:2306.01708, section 4, step 2).

    Returns:
        One mask per expert.
    """
    zero = 1.0
    if vote.zero == "majority":
        zero = site.scope.once(("majority", vote), lambda: majority(vote, site))
    heard = as_heard(vote, deltas, weights)
    return agreeing(heard, elected_sign(heard, zero))


def as_heard(vote: SignVote, deltas: Sequence[torch.Tensor], weights: Sequence[Factor]) -> Sequence[torch.Tensor]:
    """What of the task vectors is added up."""
    if vote.tally == "weighted":
        return [delta * weight for delta, weight in zip(deltas, weights, strict=True)]
    return [delta.sign() for delta in deltas] if vote.tally == "count" else deltas


def majority(vote: SignVote, site: Site) -> float:
    """The sign that most entries of the model elect; minus only where more elect it."""
    total = 0.0
    for deltas, weights in site.heard():
        total += float(tally(as_heard(vote, deltas, weights)).sign().sum(dtype=torch.float64))
    return 1.0 if total >= 0 else -1.0


def tally(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sum over experts."""
    total = deltas[0].clone()
    for delta in deltas[1:]:
        total += delta
    return total


def elected_sign(deltas: Sequence[torch.Tensor], zero: float = 1.0) -> torch.Tensor:
    """Sign of the sum over experts; a sum of zero elects the sign of `zero`."""
    total = tally(deltas)
    # "+ 0.0" turns -0.0 into 0.0
    return torch.ones_like(total).copysign_(total + 0.0) if zero > 0 else -torch.ones_like(total).copysign_(0.0 - total)


def agreeing(deltas: Sequence[torch.Tensor], sign: torch.Tensor) -> list[torch.Tensor]:
    """Ones at entries with the elected sign, zeros elsewhere, one tensor per expert; a zero agrees with neither."""
    return [(delta * sign).relu_().sign_() for delta in deltas]  # in floats: several times faster than booleans


def nonzero(
    vote: NonzeroVote, deltas: Sequence[torch.Tensor], weights: Sequence[Factor], site: Site
) -> Sequence[torch.Tensor]:
    """Those who move the entry may speak (RAM, arXiv:2601.13572)."""
    return [mask.to(torch.float32) for mask in moved(deltas, vote.epsilon, vote.unit)]


def moved(deltas: Sequence[torch.Tensor], epsilon: float, unit: str) -> list[torch.Tensor]:
    """Where each task vector exceeds `epsilon`, counted in its root mean square or as it is."""
    return [delta.abs() > epsilon * (root_mean_square(delta) if unit == "rms" else 1.0) for delta in deltas]


def tall(
    vote: TallVote, deltas: Sequence[torch.Tensor], weights: Sequence[Factor], site: Site
) -> Sequence[torch.Tensor]:
    """All may speak where several claim the entry (TALL-masks and Consensus, arXiv:2405.07813, equation 5)."""
    total = tally(deltas)
    claims = [
        delta.abs() > of_expert(vote.threshold, index) * (total - delta).abs() for index, delta in enumerate(deltas)
    ]
    several = torch.stack(claims).sum(dim=0) >= vote.at_least
    return [(several if vote.decoder is None else claims[vote.decoder]).to(torch.float32)] * len(deltas)


VOTES: dict[Kind, Vote] = {SignVote: sign, NonzeroVote: nonzero, TallVote: tall}
