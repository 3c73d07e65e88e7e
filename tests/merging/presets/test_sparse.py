"""Presets that thin out task vectors, against their formulas."""

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import (
    Tensors,
    banded,
    disjoint,
    dropped_by_rank,
    mean_of_agreed,
    only,
    rank_chances,
    trimmed,
)
from evomerge.testing.stages import LoneContract, PresetContract, SymmetricContract


class TestPaperTies(PresetContract, SymmetricContract):
    """Disjoint mean."""

    rule = {"use": "ties@paper", "density": 0.4, "scale": 0.7}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 0.7 * disjoint([trimmed(expert - origin, 0.4) for expert in experts], "mean")


class TestPaperTiesSum(PresetContract, SymmetricContract):
    """Disjoint sum."""

    rule = {"use": "ties@paper", "density": 0.4, "merge": "sum"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + disjoint([trimmed(expert - origin, 0.4) for expert in experts], "sum")


class TestPaperTiesMax(PresetContract, SymmetricContract):
    """Disjoint maximum."""

    rule = {"use": "ties@paper", "density": 0.4, "merge": "max"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + disjoint([trimmed(expert - origin, 0.4) for expert in experts], "max")


def rescaled(experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> list[torch.Tensor]:
    """DELLA's drop and rescale with density 0.6 and half-width 0.2."""
    kept = []
    for expert, draw in zip(experts, draws, strict=True):
        delta = expert - origin
        chances = rank_chances(delta, 0.6, 0.2)
        kept.append(dropped_by_rank(delta, chances, draw) / chances)
    return kept


class TestDella(PresetContract):
    """arXiv:2406.11617: drop by rank, rescale by 1/p, elect, fuse, λ."""

    rule = {"use": "della", "density": 0.6, "epsilon": 0.2, "weights": [1.0, 0.5, 2.0]}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 1.1 * mean_of_agreed(rescaled(experts, origin, draws), (1.0, 0.5, 2.0))


class TestDellaLinear(PresetContract, LoneContract):
    """Without a vote."""

    rule = {"use": "della_linear", "density": 0.6, "epsilon": 0.2}
    lone = {"use": "della_linear", "density": 1.0, "weights": [1.0]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = rescaled(experts, origin, draws)
        return origin + 0.5 * first + 0.5 * second


class TestBreadcrumbs(PresetContract, SymmetricContract, LoneContract):
    """arXiv:2312.06795: both tails masked, task arithmetic."""

    rule = {"use": "breadcrumbs", "density": 0.6, "gamma": 0.1}
    lone = {"use": "breadcrumbs", "density": 1.0, "weights": [1.0]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + sum((0.5 * banded(e - origin, 0.6, 0.1) for e in experts), start=torch.zeros_like(origin))


class TestBreadcrumbsOfRows(PresetContract, SymmetricContract):
    """Row by row, as the authors' code does."""

    rule = {"use": "breadcrumbs", "density": 0.5, "gamma": 0.3, "scope": "row"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = origin.clone()
        for expert in experts:
            rows = (expert - origin).reshape(-1, origin.shape[-1] if origin.ndim else 1)
            merged += 0.5 * torch.stack([banded(row, 0.5, 0.3) for row in rows]).view_as(origin)
        return merged


class TestBreadcrumbsTies(PresetContract):
    """Both tails masked, mean of those that agree."""

    rule = {"use": "breadcrumbs_ties", "density": 0.6, "gamma": 0.1, "weights": [0.5, 0.8, 0.9], "scale": 0.9}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [banded(expert - origin, 0.6, 0.1) for expert in experts]
        return origin + 0.9 * mean_of_agreed(deltas, (0.5, 0.8, 0.9))


class TestCabs(PresetContract):
    """arXiv:2503.01874: n of m, each expert among what those before it left."""

    rule = {"use": "cabs", "n": 1, "m": 3, "weights": [0.9, 0.8, 0.7]}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        used, merged = set[int](), origin.clone()
        for weight, expert in zip((0.9, 0.8, 0.7), experts, strict=True):
            delta = expert - origin
            flat, chosen = delta.flatten().tolist(), []
            width = min(3, len(flat))
            for start in range(0, len(flat) - width + 1, width):
                free = [place for place in range(start, start + width) if place not in used]
                chosen += sorted(free, key=lambda place: -abs(flat[place]))[:1]
            used |= set(chosen)
            merged += weight * only(delta, chosen)
        return merged


class TestCompeft(PresetContract, SymmetricContract):
    """arXiv:2311.13171: sgn(top-k τ) · α · std(τ)."""

    rule = {"use": "compeft", "density": 0.3, "factor": 2.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = origin.clone()
        for expert in experts:
            delta = expert - origin
            spread = float(delta.std()) if delta.numel() > 1 else 0.0
            merged += 0.5 * trimmed(delta, 0.3).sign() * 2 * spread
        return merged


class TestOneBit(PresetContract, SymmetricContract):
    """arXiv:2502.10743: sgn(τ) · mean|τ|."""

    rule = {"use": "one_bit"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        return origin + 0.5 * sum((d.sign() * d.abs().mean() for d in deltas), start=torch.zeros_like(origin))
