"""Presets that read statistics, against their published formulas, written down plainly."""

import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.recipe.calibration import StatisticKind
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import (
    LoneContract,
    MeanContract,
    PresetContract,
    StillContract,
    SymmetricContract,
)
from evomerge.testing.statistics import made_up


def fishers(shape: torch.Size, draws: Sequence[Draw]) -> list[torch.Tensor]:
    """The diagonal Fisher information of every expert."""
    return [values_of("fisher", draw.expert, shape) for draw in draws]


def values_of(kind: StatisticKind, model: str, shape: torch.Size) -> torch.Tensor:
    reading = made_up(kind, model, shape)
    assert reading is not None
    return reading.values.double()


class TestFisher(PresetContract, MeanContract):
    """arXiv:2111.09832, equation 5: Σ λ F W / Σ λ F; the floor counts in means of F."""

    rule = {"use": "fisher", "weights": [0.5, 2.0], "floor": 0.3}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        each = fishers(origin.shape, draws)
        floor = 0.3 * (each[0].mean() + each[1].mean()) / 2
        one, other = (0.5 * each[0].clamp(min=floor), 2.0 * each[1].clamp(min=floor))
        return (one * experts[0] + other * experts[1]) / (one + other)


class TestFisherOfMergeLM(PresetContract, MeanContract, SymmetricContract):
    """As later codes have it: an absolute floor, and each expert's Fisher divided by its norm over the model."""

    rule = {"use": "fisher", "normalise": "model", "floor": 1e-6, "unit": "one"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        total, share = torch.zeros_like(origin), torch.zeros_like(origin)
        for expert, information in zip(experts, fishers(origin.shape, draws), strict=True):
            weight = information.clamp(min=1e-6) / information.square().sum().sqrt()
            total, share = total + weight * expert, share + weight
        return total / share


class TestOta(PresetContract):
    """Σ √v τ̂ / Σ √v with τ̂ the task vectors where v τ² is among the largest, here per tensor."""

    rule = {"use": "ota", "density": 0.5, "scope": "tensor", "floor": 0.0, "scale": 1.2}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        total, share = torch.zeros_like(origin), torch.zeros_like(origin)
        for expert, v in zip(experts, fishers(origin.shape, draws), strict=True):
            delta = expert - origin
            total, share = total + v.sqrt() * most(delta, v * delta**2, 0.5), share + v.sqrt()
        return origin + 1.2 * total / share


class TestOtaUnmasked(PresetContract, MeanContract, SymmetricContract):
    """Without the mask it is a mean."""

    rule = {"use": "ota", "density": 1.0, "floor": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        one, other = (v.sqrt() for v in fishers(origin.shape, draws))
        return (one * experts[0] + other * experts[1]) / (one + other)


def most(delta: torch.Tensor, score: torch.Tensor, density: float) -> torch.Tensor:
    """The `int(density · numel)` entries of largest score, at least one, by sorting."""
    order = score.flatten().argsort(descending=True)
    kept = torch.zeros_like(delta).flatten()
    chosen = order[: max(1, int(density * delta.numel()))]
    kept[chosen] = delta.flatten()[chosen]
    return kept.view_as(delta)


def gram_of(kind: StatisticKind, model: str, shape: torch.Size, shrink: float, ridge: float) -> torch.Tensor:
    """G with its off-diagonal shrunk and a ridge of `ridge` mean diagonals."""
    gram = values_of(kind, model, shape)
    shrunk = shrink * gram + (1 - shrink) * torch.diag(torch.diag(gram))
    return shrunk + ridge * torch.trace(gram) / len(gram) * torch.eye(len(gram), dtype=torch.float64)


class TestRegMean(PresetContract, MeanContract):
    """arXiv:2212.09849, equation 2 with section 4.2: (Σ W G̃)(Σ G̃)⁻¹ of whole weights; other tensors are averaged."""

    rule = {"use": "regmean", "weights": [0.5, 1.5], "shrink": 0.7, "ridge": 0.01}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.dim() != 2:
            return (0.5 * experts[0] + 1.5 * experts[1]) / 2
        one, other = (gram_of("gram", draw.expert, origin.shape, 0.7, 0.01) for draw in draws)
        return (0.5 * experts[0] @ one + 1.5 * experts[1] @ other) @ torch.linalg.inv(0.5 * one + 1.5 * other)


class TestRegMeanOfThree(PresetContract, MeanContract, SymmetricContract):
    """By default, three alike."""

    rule = {"use": "regmean"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.dim() != 2:
            return (experts[0] + experts[1] + experts[2]) / 3
        grams = [gram_of("gram", draw.expert, origin.shape, 0.9, 1e-6) for draw in draws]
        numerator = sum((w @ g for w, g in zip(experts, grams, strict=True)), start=torch.zeros_like(origin))
        return numerator @ torch.linalg.inv(grams[0] + grams[1] + grams[2])


class TestRegMeanPlus(PresetContract, MeanContract, SymmetricContract):
    """arXiv:2508.03121, equation 3: RegMean with other Gram matrices; test_prefix.py shows where they come from."""

    rule = {"use": "regmean++", "shrink": 0.5}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.dim() != 2:
            return (experts[0] + experts[1]) / 2
        one, other = (gram_of("merged_gram", draw.expert, origin.shape, 0.5, 1e-6) for draw in draws)
        return (experts[0] @ one + experts[1] @ other) @ torch.linalg.inv(one + other)


class TestMats(PresetContract, MeanContract, SymmetricContract):
    """arXiv:2312.04339: conjugate gradients, at convergence RegMean with all of G (section 3.2)."""

    rule = {"use": "mats", "steps": 60}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.dim() != 2:
            return (experts[0] + experts[1]) / 2
        one, other = (gram_of("gram", draw.expert, origin.shape, 1.0, 0.0) for draw in draws)
        return (experts[0] @ one + experts[1] @ other) @ torch.linalg.inv(one + other)


class TestMatsOneStep(PresetContract, SymmetricContract):
    """One step of steepest descent from nothing: D = r ‖r‖² / ⟨r, A r⟩ with r = Σ τ G."""

    rule = {"use": "mats", "steps": 1, "start": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        if origin.dim() != 2:
            return origin + (deltas[0] + deltas[1]) / 2
        one, other = (gram_of("gram", draw.expert, origin.shape, 1.0, 0.0) for draw in draws)
        residual = deltas[0] @ one + deltas[1] @ other
        length = residual.square().sum() / (residual * (residual @ (one + other))).sum()
        return origin + length * residual


class TestMatsOfKfac(PresetContract, MeanContract, SymmetricContract):
    """Σ B_k (W − W_k) G_k = 0, solved here as one linear system of all entries: (Σ B ⊗ G) vec W = Σ vec(B W_k G)."""

    rule = {"use": "mats", "of": "kfac", "steps": 200}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.dim() != 2:
            return (experts[0] + experts[1]) / 2
        system = torch.zeros(origin.numel(), origin.numel(), dtype=torch.float64)
        goal = torch.zeros_like(origin)
        for expert, draw in zip(experts, draws, strict=True):
            inputs = gram_of("gram", draw.expert, origin.shape, 1.0, 0.0)
            outputs = gram_of("grad_gram", draw.expert, origin.shape, 1.0, 0.0)
            system += torch.kron(outputs, inputs)
            goal += outputs @ expert @ inputs
        return torch.linalg.solve(system, goal.flatten()).view_as(origin)


class TestAim(PresetContract, SymmetricContract):
    """arXiv:2502.02421: column j of the merged task vector times 1 − (1 − ω) a_j / max a, with the base's a."""

    rule = {"use": "aim", "weights": [0.6, 0.6], "scale": 1.5, "floor": 0.3}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = 1.5 * 0.6 * (experts[0] - origin + experts[1] - origin)
        if origin.dim() == 2:
            activity = values_of("act_mean", "origin", origin.shape)
            for column in range(origin.shape[1]):
                merged[:, column] *= 1 - (1 - 0.3) * activity[column] / activity.max()
        return origin + merged


class TestAimSwitchedOff(PresetContract, SymmetricContract, LoneContract):
    """At ω = 1 it is task arithmetic."""

    rule = {"use": "aim", "floor": 1.0}
    lone = {"use": "aim", "floor": 1.0, "weights": [1.0]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 0.5 * (experts[0] - origin) + 0.5 * (experts[1] - origin)


class TestSens(PresetContract):
    """arXiv:2502.12420: σ = softmax over experts of (α t / T) at each layer; Σ n σ τ."""

    rule = {"use": "sens", "transfer": [0.2, 0.5, 0.3], "temperature": 0.1, "scale": 0.8}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        alphas = [float(values_of("grad_sens", draw.expert, origin.shape)) for draw in draws]
        powers = [math.exp(alpha * t / 0.1) for alpha, t in zip(alphas, (0.2, 0.5, 0.3), strict=True)]
        merged = torch.zeros_like(origin)
        for expert, power in zip(experts, powers, strict=True):
            merged += 3 * power / sum(powers) * (expert - origin)
        return origin + 0.8 * merged


class TestSensByDefault(PresetContract, SymmetricContract):
    """Equal transfers."""

    rule = {"use": "sens"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        one, other = (math.exp(float(values_of("grad_sens", draw.expert, origin.shape))) for draw in draws)
        return origin + 2 * (one * (experts[0] - origin) + other * (experts[1] - origin)) / (one + other)


class TestObim(PresetContract):
    """arXiv:2502.12217: saliency ½ H τ² with H = 2 E[x²]; who comes first keeps the entry."""

    rule = {"use": "obim", "density": [0.5, 0.3, 0.4], "scale": 0.9}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged, used = torch.zeros_like(origin), torch.zeros_like(origin)
        for expert, draw, density in zip(experts, draws, (0.5, 0.3, 0.4), strict=True):
            delta = expert - origin
            squares = values_of("act_sq", draw.expert, origin.shape) if origin.dim() == 2 else torch.ones(())
            kept = most(delta, 0.5 * (2 * squares) * delta**2, density)
            merged += torch.where(used == 0, kept, 0.0)
            used += (kept != 0).double()
        return origin + 0.9 * merged


class TestRcp(StillContract):
    """arXiv:2508.03140 as reconstructed: per text |g δ| − λ F δ² > 0; the majority of texts decides."""

    rule = {"use": "rcp", "penalty": 0.7, "weights": [1.0, 0.8]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        information, merged = values_of("fisher", "origin", origin.shape), origin.clone()
        for expert, draw, weight in zip(experts, draws, (1.0, 0.8), strict=True):
            delta, gradient = expert - origin, values_of("grad_median", draw.expert, origin.shape)
            helps = (gradient * delta).abs() - 0.7 * information * delta**2 > 0
            merged += weight * delta * helps
        return merged


class TestRcpWithoutPrior(PresetContract):
    """Nothing stands against a change when the origin's loss does not count."""

    rule = {"use": "rcp", "penalty": 0.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return experts[0] + experts[1] - origin
