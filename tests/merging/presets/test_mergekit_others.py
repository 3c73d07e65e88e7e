"""What mergekit computes under its names, but for sums of sparsified task vectors, written down plainly."""

import itertools
import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import (
    HomogeneousContract,
    LoneContract,
    MeanContract,
    PresetContract,
    StillContract,
    SymmetricContract,
)

W = (0.5, 1.0, 0.7)


def unit(tensor: torch.Tensor) -> torch.Tensor:
    """The direction of a tensor."""
    return tensor / tensor.norm()


def slerped(first: torch.Tensor, second: torch.Tensor, t: float, straight_from: float = 1 - 1e-12) -> torch.Tensor:
    """Spherical interpolation of two vectors, linear where their cosine is beyond a bound."""
    cosine = float((first * second).sum() / first.norm() / second.norm())
    if abs(cosine) > straight_from:
        return (1 - t) * first + t * second
    angle = math.acos(cosine)
    return (math.sin((1 - t) * angle) * first + math.sin(t * angle) * second) / math.sin(angle)


class TestLinear(PresetContract, MeanContract, LoneContract):
    """Σ w W / Σ w."""

    rule = {"use": "linear@mergekit", "weights": [0.5, 1.0]}
    lone = {"use": "linear@mergekit"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (0.5 * experts[0] + 1.0 * experts[1]) / 1.5


class TestLinearSum(HomogeneousContract):
    """Σ w W."""

    rule = {"use": "linear@mergekit", "weights": [0.5, 1.0], "normalize": False}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return 0.5 * experts[0] + 1.0 * experts[1]


class TestPassthrough(HomogeneousContract, LoneContract):
    """scale · W."""

    rule = {"use": "passthrough@mergekit", "scale": 0.5}
    num_experts = 1
    lone = {"use": "passthrough@mergekit"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return 0.5 * experts[0]


class TestSlerp(PresetContract, MeanContract):
    """Spherical, but linear beyond |cos| = 0.9995."""

    rule = {"use": "slerp@mergekit", "t": 0.3}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return slerped(experts[0], experts[1], 0.3, 0.9995)


class TestSlerpOfCloseModels(TestSlerp):
    """Where the linear branch is taken."""

    def _examples(self) -> list[tuple[list[torch.Tensor], torch.Tensor]]:
        return [([first, 2 * first + 1e-2 * second], origin) for (first, second), origin in super()._examples()]


class TestNuslerp(PresetContract, MeanContract):
    """Of task vectors, by two weights."""

    rule = {"use": "nuslerp@mergekit", "weights": [0.3, 0.6]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + slerped(experts[0] - origin, experts[1] - origin, 2 / 3)


class TestNuslerpOfRows(PresetContract, MeanContract):
    """Along the last axis."""

    rule = {"use": "nuslerp@mergekit", "weights": [0.3, 0.6], "nuslerp_flatten": False}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = (expert - origin for expert in experts)
        width = first.shape[-1] if first.ndim else 1
        rows = zip(first.reshape(-1, width), second.reshape(-1, width), strict=True)
        return origin + torch.stack([slerped(one, other, 2 / 3) for one, other in rows]).view_as(origin)


class TestNuslerpOfColumns(PresetContract, MeanContract):
    """Along the first axis, which mergekit calls row-wise."""

    rule = {"use": "nuslerp@mergekit", "nuslerp_flatten": False, "nuslerp_row_wise": True}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = (expert - origin for expert in experts)
        if first.ndim < 2:
            return origin + slerped(first, second, 0.5)
        columns = zip(first.flatten(1).T, second.flatten(1).T, strict=True)
        return origin + torch.stack([slerped(one, other, 0.5) for one, other in columns]).T.view_as(origin)


class TestMultislerp(PresetContract, MeanContract):
    """m = Σ w u / ‖·‖ and a step in its tangent space, times Σ w ‖τ‖."""

    rule = {"use": "multislerp@mergekit", "weights": list(W)}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        shares = [weight / sum(W) for weight in W]
        units = [unit(delta) for delta in deltas]
        mean = unit(sum((s * u for s, u in zip(shares, units, strict=True)), start=torch.zeros_like(origin)))
        step = sum((s * (u - (u * mean).sum() * mean) for s, u in zip(shares, units, strict=True)), start=0 * mean)
        size = float(step.norm()) + 1e-8
        point = mean * math.cos(size) + step * math.sin(size) / size
        return origin + point * sum(s * float(delta.norm()) for s, delta in zip(shares, deltas, strict=True))


class TestKarcher(PresetContract, MeanContract, SymmetricContract):
    """u ← exp_u(mean of log_u(u_k)), times the mean norm."""

    rule = {"use": "karcher@mergekit", "max_iter": 3, "tol": 0.0}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        units = [unit(expert) for expert in experts]
        point = unit(units[0] + units[1] + units[2])
        for _ in range(3):
            step = torch.zeros_like(origin)
            for each in units:
                cosine = max(-1.0, min(1.0, float((each * point).sum())))
                angle = math.acos(cosine)
                if 1e-9 < angle < math.pi - 1e-9:
                    step += angle / math.sin(angle) * (each - cosine * point) / 3
            size = float(step.norm())
            point = unit(math.cos(size) * point + (math.sin(size) / size * step if size else 0 * step))
        return point * sum(float(expert.norm()) for expert in experts) / 3


def stock_ratio(deltas: Tensors) -> float:
    """n c / (1 + (n − 1) c) with the mean cosine of pairs."""
    cosines = [
        float((one * other).sum() / one.norm() / other.norm()) for one, other in itertools.combinations(deltas, 2)
    ]
    cosine = sum(cosines) / len(cosines)
    divisor = 1 + (len(deltas) - 1) * cosine
    return 0.0 if abs(divisor) < 1e-6 else len(deltas) * cosine / divisor


class TestModelStock(PresetContract, MeanContract, SymmetricContract):
    """t · mean + (1 − t) W0."""

    rule = {"use": "model_stock@mergekit"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        return origin + stock_ratio(deltas) * (deltas[0] + deltas[1] + deltas[2]) / 3


class TestModelStockFilterWise(PresetContract, MeanContract, SymmetricContract):
    """The same for every row."""

    rule = {"use": "model_stock@mergekit", "filter_wise": True}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        width = origin.shape[-1] if origin.ndim else 1
        first, second = ((expert - origin).reshape(-1, width) for expert in experts)
        rows = [stock_ratio([one, other]) * (one + other) / 2 for one, other in zip(first, second, strict=True)]
        return origin + torch.stack(rows).view_as(origin)


class TestSce(PresetContract, SymmetricContract):
    """Select by variance, calculate energies, erase minorities."""

    rule = {"use": "sce@mergekit", "select_topk": 0.4}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        stack = torch.stack([expert - origin for expert in experts])
        variance = ((stack - stack.mean(dim=0)) ** 2).mean(dim=0).flatten()
        num_kept = max(1, int(0.4 * int((variance > 0).sum())))
        mask = torch.zeros_like(variance)
        mask[variance.argsort(descending=True)[:num_kept]] = 1
        deltas = [delta * mask.view_as(origin) for delta in stack]
        energies = [float((delta**2).mean()) for delta in deltas]
        merged = torch.zeros_like(origin).flatten()
        for entry in range(merged.numel()):
            values = [float(delta.flatten()[entry]) for delta in deltas]
            sign = 1 if sum(values) >= 0 else -1
            speaking = [(v, e) for v, e in zip(values, energies, strict=True) if v * sign > 0]
            if speaking:
                merged[entry] = sum(v * e for v, e in speaking) / sum(e for _, e in speaking)
        return origin + merged.view_as(origin)


class TestArceeFusion(StillContract):
    """|τ| · KL(softmax W ‖ softmax W0) from the median and 1.5 interquartile ranges on."""

    rule = {"use": "arcee_fusion@mergekit"}
    num_experts = 1

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        delta = experts[0] - origin
        width = origin.shape[-1] if origin.ndim else 1
        scores = []
        for row, base in zip(experts[0].reshape(-1, width), origin.reshape(-1, width), strict=True):
            ours, theirs = row.exp() / row.exp().sum() + 1e-8, base.exp() / base.exp().sum() + 1e-8
            scores.append((row - base).abs() * sum(ours * torch.log(ours / theirs)))
        score = torch.stack(scores).view_as(origin)
        order = sorted(score.flatten().tolist())
        low, middle, high = (order[int(part * (len(order) - 1))] for part in (0.25, 0.5, 0.75))
        return origin + torch.where(score >= middle + 1.5 * (high - low), delta, torch.zeros_like(delta))


class TestNearswap(StillContract):
    """a W + (1 − a) W0 with a = min(1, t / |τ|)."""

    rule = {"use": "nearswap@mergekit", "t": 0.3}
    num_experts = 1

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        part = (0.3 / (experts[0] - origin).abs().clamp(min=1e-6)).clamp(0, 1)
        return part * experts[0] + (1 - part) * origin


def movers(deltas: Tensors, epsilon: float) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Who moves each entry, and how many do."""
    masks = [(delta.abs() > epsilon).double() for delta in deltas]
    return masks, sum(masks, start=torch.zeros_like(masks[0]))


class TestRam(StillContract, SymmetricContract):
    """The mean over those that move an entry."""

    rule = {"use": "ram@mergekit", "epsilon": 0.5}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        masks, count = movers(deltas, 0.5)
        total = sum((mask * delta for mask, delta in zip(masks, deltas, strict=True)), start=torch.zeros_like(origin))
        return origin + total / count.clamp(min=1)


class TestRamPlus(StillContract, SymmetricContract):
    """RAM with unique entries strengthened."""

    rule = {"use": "ramplus_tl@mergekit", "epsilon": 0.5, "r": 0.5, "alpha": 3.0}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        masks, count = movers(deltas, 0.5)
        merged = origin.clone()
        for mask, delta in zip(masks, deltas, strict=True):
            num_shared, num_unique = float((mask * (count > 1)).sum()), float((mask * (count == 1)).sum())
            boost = 1 + 0.5 * min(3.0, num_shared / max(num_unique, 0.5))
            merged += delta * mask * torch.where(count == 1, boost, 1 / count.clamp(min=1))
        return merged
