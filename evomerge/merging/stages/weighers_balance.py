"""The weigher of PCB-Merging: entries by their own size and by their agreement with others (arXiv:2410.02396)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from evomerge.merging.order import largest_over
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Weigher
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import BalanceWeigher

Voices = Callable[[], Iterable[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]]
"""Gives, tensor by tensor, the task vectors of all experts before and after the gates."""


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float

    def place(self, values: torch.Tensor) -> torch.Tensor:
        """Where values lie between the ends, from 0 to 1; 1 where the ends are one."""
        if self.high == self.low:
            return torch.ones_like(values)
        return ((values - self.low) / (self.high - self.low)).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class _Balance:
    """What one expert's scores need to know of its whole scope."""

    sizes: _Range
    scores: _Range


def balance(weigh: BalanceWeigher, stack: Stack, site: Site) -> Sequence[Factor]:
    """A factor in [0, 1] for every entry (PCB-Merging, section 3.2)."""

    def known() -> list[_Balance]:
        voices = site.voices if weigh.scope == "model" else lambda: [(stack.raw, stack.deltas)]
        return [_balance(weigh, voices, expert) for expert in range(len(stack.deltas))]

    balances = site.scope.once(weigh, known) if weigh.scope == "model" else known()
    return [
        each.scores.place(scores(stack.raw, stack.deltas, expert, each.sizes)) for expert, each in enumerate(balances)
    ]


def scores(raw: Sequence[torch.Tensor], gated: Sequence[torch.Tensor], expert: int, sizes: _Range) -> torch.Tensor:
    """exp(n a²) · tanh(τ_k · Σ τ) of every entry of one expert."""
    total = torch.stack(list(raw)).sum(dim=0)
    own = (len(raw) * sizes.place(gated[expert].abs()).square()).exp()
    return own * (raw[expert] * total).tanh()


def _balance(weigh: BalanceWeigher, voices: Voices, expert: int) -> _Balance:
    sizes = _range(gated[expert].abs() for _, gated in voices())

    def all_scores() -> Iterator[torch.Tensor]:
        return (scores(raw, gated, expert, sizes) for raw, gated in voices())

    total = sum(piece.numel() for piece in all_scores())
    num_counting = total - int(total * (1 - weigh.ratio))
    return _Balance(sizes, _Range(largest_signed(all_scores, num_counting, total), _range(all_scores()).high))


def _range(pieces: Iterable[torch.Tensor]) -> _Range:
    ends = [(float(piece.min()), float(piece.max())) for piece in pieces if piece.numel()]
    return _Range(min(low for low, _ in ends), max(high for _, high in ends)) if ends else _Range(0.0, 0.0)


def largest_signed(pieces: Callable[[], Iterable[torch.Tensor]], num_kept: int, total: int) -> float:
    """The `num_kept`-th largest value, signs counted, from order statistics of magnitudes."""
    num_positive = sum(int((piece > 0).sum()) for piece in pieces())
    if num_kept <= num_positive:
        return largest_over(lambda: (piece.clamp(min=0) for piece in pieces()), num_kept, total)
    return -largest_over(lambda: (piece.clamp(max=0) for piece in pieces()), total - num_kept + 1, total)


WEIGHERS: dict[Kind, Weigher] = {BalanceWeigher: balance}
