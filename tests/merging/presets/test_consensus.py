"""Presets in which experts settle who speaks, against their formulas."""

import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors, balanced
from evomerge.testing.stages import (
    FormulaContract,
    LoneContract,
    MeanContract,
    PresetContract,
    StillContract,
    SymmetricContract,
)


def each_entry(deltas: Tensors) -> list[list[float]]:
    """The values of all experts, entry by entry."""
    return [list(values) for values in zip(*(delta.flatten().tolist() for delta in deltas), strict=True)]


class TestConsensus(PresetContract):
    """arXiv:2405.07813: Σ τ where at least two tasks have |τ_k| > λ |Δ − τ_k|."""

    rule = {"use": "consensus", "threshold": [0.4, 0.3, 0.5], "scale": 0.3}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = []
        for values in each_entry([expert - origin for expert in experts]):
            total = sum(values)
            claims = sum(abs(v) > bound * abs(total - v) for v, bound in zip(values, (0.4, 0.3, 0.5), strict=True))
            merged.append(total if claims >= 2 else 0.0)
        return origin + 0.3 * torch.tensor(merged, dtype=torch.float64).view_as(origin)


class TestTallMask(PresetContract):
    """The same for one task: where it claims the entry."""

    rule = {"use": "tall_mask", "decoder": 1}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        total = deltas[0] + deltas[1] + deltas[2]
        return origin + total * (deltas[1].abs() > 0.4 * (total - deltas[1]).abs())


class TestEmr(PresetContract, MeanContract, SymmetricContract, LoneContract):
    """arXiv:2405.17461: γ ⊙ max |τ| among those with the elected sign."""

    rule = {"use": "emr"}
    num_experts = 3
    lone = {"use": "emr"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = []
        for values in each_entry([expert - origin for expert in experts]):
            sign = math.copysign(1.0, sum(values) + 0.0)
            merged.append(sign * max([abs(value) for value in values if value * sign > 0], default=0.0))
        return origin + torch.tensor(merged, dtype=torch.float64).view_as(origin)


class TestMagmax(PresetContract, LoneContract):
    """arXiv:2407.06322: λ τ_k with k = argmax |τ_k|."""

    rule = {"use": "magmax", "weights": [1.0, 0.5, 2.0]}
    num_experts = 3
    lone = {"use": "magmax", "scale": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [weight * (expert - origin) for weight, expert in zip((1.0, 0.5, 2.0), experts, strict=True)]
        merged = [max(values, key=abs) for values in each_entry(deltas)]
        return origin + 0.5 * torch.tensor(merged, dtype=torch.float64).view_as(origin)


def rms(delta: torch.Tensor) -> float:
    """Root mean square."""
    return math.sqrt(float((delta**2).mean()))


class TestRam(PresetContract):
    """arXiv:2601.13572 with a threshold relative to the task vector: the mean of those that move."""

    rule = {"use": "ram", "epsilon": 0.6, "weights": [1.0, 2.0, 0.5]}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        bounds, merged = [0.6 * rms(delta) for delta in deltas], []
        for values in each_entry(deltas):
            moving = [(w, v) for w, v, b in zip((1.0, 2.0, 0.5), values, bounds, strict=True) if abs(v) > b]
            merged.append(sum(w * v for w, v in moving) / sum(w for w, _ in moving) if moving else 0.0)
        return origin + torch.tensor(merged, dtype=torch.float64).view_as(origin)


class TestRamPlus(PresetContract, SymmetricContract):
    """arXiv:2601.13572, RAM+: unique entries strengthened by what is shared."""

    rule = {"use": "ram_plus", "epsilon": 0.6, "strength": 0.5, "limit": 2.0}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        moving = torch.stack([delta.abs() > 0.6 * rms(delta) for delta in deltas]).double()
        count = moving.sum(dim=0)
        merged = origin.clone()
        for delta, mask in zip(deltas, moving, strict=True):
            shared, unique = float((mask * (count > 1)).sum()), float((mask * (count == 1)).sum())
            boost = 1 + 0.5 * min(2.0, shared / unique if unique else 2.0)
            merged += mask * delta * torch.where(count == 1, boost, 1 / count.clamp(min=1))
        return merged


class TestSce(PresetContract):
    """arXiv:2408.07990: select, calculate, erase, with weights beside the energies."""

    rule = {"use": "sce", "density": 0.5, "weights": [1.0, 2.0, 0.5]}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        entries = each_entry([expert - origin for expert in experts])
        spreads = [sum((v - sum(values) / 3) ** 2 for v in values) for values in entries]
        order = sorted(range(len(entries)), key=lambda place: -spreads[place])
        chosen = set(order[: max(1, int(0.5 * sum(spread > 0 for spread in spreads)))])
        entries = [values if place in chosen else [0.0] * 3 for place, values in enumerate(entries)]
        energies = [weight * sum(values[k] ** 2 for values in entries) for k, weight in enumerate((1.0, 2.0, 0.5))]
        merged = []
        for values in entries:
            sign = 1 if sum(values) >= 0 else -1
            speaking = [(v, e) for v, e in zip(values, energies, strict=True) if v * sign > 0]
            merged.append(sum(v * e for v, e in speaking) / sum(e for _, e in speaking) if speaking else 0.0)
        return origin + torch.tensor(merged, dtype=torch.float64).view_as(origin)


class TestPcb(StillContract, SymmetricContract):
    """arXiv:2410.02396: intra-balancing, inter-balancing, drop, rescale."""

    rule = {"use": "pcb", "ratio": 0.3, "scale": 1.2}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 1.2 * balanced([expert - origin for expert in experts], 0.3)


class TestPcbOfAlmostAll(FormulaContract):
    """Where the smallest score that counts is negative."""

    rule = {"use": "pcb", "ratio": 0.95}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + balanced([expert - origin for expert in experts], 0.95)
