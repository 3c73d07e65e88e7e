"""Steps that many published formulas share, written plainly and slowly, for tests to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import LEVELS, Draw, chance

Tensors = Sequence[torch.Tensor]


def ascending(values: Sequence[float]) -> list[int]:
    """Places in ascending order of magnitude, by sorting; of equals those that come first."""
    return sorted(range(len(values)), key=lambda place: (abs(values[place]), place))


def only(delta: torch.Tensor, places: Sequence[int]) -> torch.Tensor:
    """The entries at these places of the flattened tensor, zeros elsewhere."""
    flat, kept = delta.flatten(), torch.zeros_like(delta).flatten()
    for place in places:
        kept[place] = flat[place]
    return kept.view_as(delta)


def trimmed(delta: torch.Tensor, density: float) -> torch.Tensor:
    """The `int(density · numel)` entries of largest magnitude, at least one; of equals those that come first."""
    flat = delta.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda place: (-abs(flat[place]), place))
    return only(delta, order[: max(1, int(density * len(flat)))])


def banded(delta: torch.Tensor, density: float, gamma: float) -> torch.Tensor:
    """`int(density · numel)` entries, at least one, below the `int(gamma · numel)` largest where that is possible."""
    flat = delta.flatten().tolist()
    num_kept = max(1, int(density * len(flat)))
    first = max(0, len(flat) - num_kept - int(gamma * len(flat)))
    return only(delta, ascending(flat)[first : first + num_kept])


def dropped(delta: torch.Tensor, density: float, draw: Draw) -> torch.Tensor:
    """Entries kept with probability `density`."""
    return torch.where(draw.uniform(delta.shape).double() < chance(density), delta, torch.zeros_like(delta))


def rank_chances(delta: torch.Tensor, density: float, epsilon: float) -> torch.Tensor:
    """Probabilities that rise with the rank of the magnitude in its row, in steps that draws can tell apart."""
    rows = delta.reshape(-1, delta.shape[-1]) if delta.ndim > 1 else delta.reshape(1, -1)
    chances = torch.zeros_like(rows)
    for row, values in enumerate(rows.tolist()):
        for rank, place in enumerate(ascending(values)):
            part = rank / (len(values) - 1) if len(values) > 1 else 0.5
            chances[row, place] = round((density - epsilon + 2 * epsilon * part) * LEVELS) / LEVELS
    return chances.view_as(delta)


def dropped_by_rank(delta: torch.Tensor, chances: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Entries kept with their own probabilities."""
    return torch.where(draw.uniform(delta.shape).double() < chances, delta, torch.zeros_like(delta))


def norm_restored(kept: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """What was kept, scaled to the L1 norm that there was before."""
    return kept * delta.abs().sum() / kept.abs().sum() if kept.any() else kept


def agreed(deltas: Tensors, weights: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Entry by entry, the weighted sum and the weights of those that have the sign of the weighted sum."""
    total, share = torch.zeros_like(deltas[0]).flatten(), torch.zeros_like(deltas[0]).flatten()
    flats = [delta.flatten() for delta in deltas]
    for entry in range(total.numel()):
        terms = [weight * float(flat[entry]) for weight, flat in zip(weights, flats, strict=True)]
        sign = 1 if sum(terms) >= 0 else -1
        for weight, term in zip(weights, terms, strict=True):
            if term * sign > 0:
                total[entry] += term
                share[entry] += weight
    return total.view_as(deltas[0]), share.view_as(deltas[0])


def mean_of_agreed(deltas: Tensors, weights: Sequence[float]) -> torch.Tensor:
    """The weighted mean of those that agree; zero where nobody speaks."""
    total, share = agreed(deltas, weights)
    return total / torch.where(share == 0, 1.0, share)


def disjoint(deltas: Tensors, merge: str) -> torch.Tensor:
    """The code of TIES (arXiv:2306.01708): signs of plain sums, even ones decided by the majority."""
    stack = torch.stack([delta.flatten() for delta in deltas])
    signs = stack.sum(dim=0).sign()
    signs[signs == 0] = 1.0 if signs.sum() >= 0 else -1.0
    merged = torch.zeros_like(stack[0])
    for entry in range(stack.shape[1]):
        values = [float(value) for value in stack[:, entry] if float(value) * float(signs[entry]) > 0]
        if values and merge == "mean":
            merged[entry] = sum(values) / len(values)
        elif values:
            merged[entry] = sum(values) if merge == "sum" else max(values, key=abs)
    return merged.view_as(deltas[0])


def placed(values: list[float], low: float | None = None) -> list[float]:
    """Values between their least, or a bound, and their greatest as numbers from 0 to 1."""
    least, greatest = min(values) if low is None else low, max(values)
    return [1.0 if greatest == least else (max(value, least) - least) / (greatest - least) for value in values]


def balanced(deltas: Tensors, ratio: float) -> torch.Tensor:
    """PCB-Merging as its code has it, over all entries of flat task vectors."""
    count, num_experts = deltas[0].numel(), len(deltas)
    raw = [delta.flatten().tolist() for delta in deltas]
    totals = [sum(values) for values in zip(*raw, strict=True)]
    clamped, shares = [], []
    for flat in raw:
        order = sorted(abs(value) for value in flat)
        low, high = order[int(count * 0.0001)], order[int(count * (1 - 0.0001) - 1)]
        sizes = [min(max(abs(value), low), high) for value in flat]
        clamped.append([math.copysign(size, value) for size, value in zip(sizes, flat, strict=True)])
        own = [math.exp(num_experts * place**2) for place in placed(sizes)]
        score = [o * math.tanh(v * total) for o, v, total in zip(own, flat, totals, strict=True)]
        shares.append(placed(score, sorted(score)[int(count * (1 - ratio))]))
    merged = [
        sum(share[i] * values[i] for share, values in zip(shares, clamped, strict=True))
        / max(sum(share[i] for share in shares), 1e-12)
        for i in range(count)
    ]
    return torch.tensor(merged, dtype=torch.float64).view_as(deltas[0])
