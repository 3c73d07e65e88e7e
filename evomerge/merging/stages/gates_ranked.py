"""Gates that go by the rank of an entry's magnitude among others."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch

from evomerge.merging.draws import LEVELS, Draw
from evomerge.merging.order import by_rank, within_ranks
from evomerge.merging.site import Site
from evomerge.merging.stages.gates import masked
from evomerge.merging.stages.signatures import Gate, Kind
from evomerge.merging.stages.stack import Share, Stack
from evomerge.recipe.stages import BandGate, BlockGate, RankBernoulliGate


def rank_bernoulli(gate: RankBernoulliGate, stack: Stack, site: Site) -> Stack:
    """Keep large entries with greater probability (DELLA, arXiv:2406.11617, section 2.1)."""
    kept, shares = list[torch.Tensor](), list[Share]()
    for index, delta in enumerate(stack.deltas):
        if gate.density_of(index) >= 1 or not delta.numel():
            kept.append(delta)
            shares.append(1.0)
            continue
        levels = levels_of(delta, *gate.window_of(index))
        kept.append(keep_drawn(delta, levels, site.draws[index], site.start))
        shares.append((levels.float() / LEVELS).to(delta.device))
    return stack.gated(gate, kept, shares)


def levels_of(delta: torch.Tensor, least: float, greatest: float) -> torch.Tensor:
    """The probability of every entry to be kept, in multiples of 1 / `LEVELS`, never none.

    Args:
        delta: Task vector of any shape.
        least: Probability of the smallest magnitude of a row.
        greatest: Probability of the largest.

    Returns:
        Int32, of the same shape, on the processor.
    """
    width = delta.shape[-1] if delta.ndim > 1 else delta.numel()
    rows = delta.abs().reshape(-1, width).cpu().numpy()
    return torch.from_numpy(by_rank(rows, _levels_of_ranks(least, greatest, width))).view(delta.shape)


@functools.lru_cache(maxsize=256)  # asked for anew for every piece of a tensor
def _levels_of_ranks(least: float, greatest: float, width: int) -> npt.NDArray[np.int32]:
    """Evenly from the smallest to the largest."""
    probabilities = np.linspace(least, greatest, width) if width > 1 else np.array([(least + greatest) / 2])
    levels_C: npt.NDArray[np.int32] = np.clip(np.rint(probabilities * LEVELS), 1, LEVELS).astype(np.int32)
    return levels_C


def keep_drawn(delta: torch.Tensor, levels: torch.Tensor, draw: Draw, start: int = 0) -> torch.Tensor:
    """Entries whose draw lies below their level, zeros elsewhere; rows of a tensor begin at entry `start`."""
    return masked(delta, draw.numbers(start, start + delta.numel()) < levels.flatten().numpy())


def band(gate: BandGate, stack: Stack, site: Site) -> Stack:
    """Keep what is neither largest nor smallest (Model Breadcrumbs, arXiv:2312.06795, section 3)."""
    kept = [
        delta if gate.density_of(index) >= 1 else keep_band(gate, delta, index)
        for index, delta in enumerate(stack.deltas)
    ]
    return stack.gated(gate, kept, [gate.density_of(index) for index in range(len(kept))])


def keep_band(gate: BandGate, delta: torch.Tensor, expert: int) -> torch.Tensor:
    """The band of one expert; entries of equal magnitude are ranked by their place."""
    if not delta.numel():
        return delta
    width = delta.shape[-1] if gate.scope == "row" and delta.ndim > 0 else delta.numel()
    first, last = gate.places(expert, width)
    rows = delta.abs().reshape(-1, width).cpu().numpy()
    mask = torch.from_numpy(np.stack([within_ranks(row, first, last) for row in rows]))
    return delta * mask.view(delta.shape).to(delta.device)


def block(gate: BlockGate, stack: Stack, site: Site) -> Stack:
    """Keep n of every m entries (CABS, arXiv:2503.01874, section 4)."""
    kept, taken = list[torch.Tensor](), torch.zeros(stack.deltas[0].shape, dtype=torch.bool)
    for delta in stack.deltas:
        mask = largest_of_blocks(delta.masked_fill(taken.to(delta.device), 0.0), gate.n, gate.m)
        if gate.owner == "exclusive":
            mask &= ~taken.to(delta.device)
            taken = taken | mask.cpu()
        kept.append(delta * mask)
    share = min(1.0, gate.n / gate.m)
    return stack.gated(gate, kept, [share] * len(kept))


def largest_of_blocks(delta: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Where the n largest magnitudes of every m consecutive entries lie: boolean, of the tensor's shape."""
    mask = torch.zeros(delta.numel(), dtype=torch.bool, device=delta.device)
    width = min(m, delta.numel())
    if not width:
        return mask.view(delta.shape)
    whole = delta.numel() // width * width
    blocks = delta.abs().flatten()[:whole].view(-1, width)
    places = blocks.topk(min(n, width), dim=1).indices
    mask[:whole].view(-1, width).scatter_(1, places, True)
    return mask.view(delta.shape)


GATES: dict[Kind, Gate] = {RankBernoulliGate: rank_bernoulli, BandGate: band, BlockGate: block}
