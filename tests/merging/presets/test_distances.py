"""Presets that go by how far or where experts moved, against their formulas."""

import math
from collections.abc import Sequence

import pytest
import torch

from evomerge.merging.draws import Draw
from evomerge.merging.stages.weighers_joint import norm_factors
from evomerge.recipe.stages import NormWeigher
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import (
    MeanContract,
    PresetContract,
    StillContract,
    SymmetricContract,
)


class TestMetaGpt(PresetContract, MeanContract, SymmetricContract):
    """arXiv:2406.11385, equation 15: λ_k = ‖τ_k‖² / Σ ‖τ‖²."""

    rule = {"use": "metagpt"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        squares = [float((delta**2).sum()) for delta in deltas]
        parts = (square / sum(squares) * delta for square, delta in zip(squares, deltas, strict=True))
        return origin + sum(parts, start=torch.zeros_like(origin))


class TestMetaGptEvened(PresetContract, SymmetricContract):
    """A negative exponent, tensor by tensor."""

    rule = {"use": "metagpt", "exponent": -1.0, "scope": "tensor", "scale": 0.7}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = (expert - origin for expert in experts)
        one, other = 1 / first.norm(), 1 / second.norm()
        return origin + 0.7 * (one * first + other * second) / (one + other)


@pytest.mark.parametrize("exponent", [2000.0, -2000.0])
def test_no_exponent_is_too_large_for_norms(exponent: float) -> None:
    weigh = NormWeigher(weigh="norm", exponent=exponent)
    longest, shortest = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
    assert tuple(norm_factors(weigh, (2.0, 30.0, 0.0))) == (longest if exponent > 0 else shortest)


def widened(significance: list[list[float]], ratio: float, calibration: float) -> list[list[float]]:
    """Per expert: a softmax over experts, and the calibration for what exceeds the expert's mean."""
    totals = [sum(math.exp(each[place]) for each in significance) for place in range(len(significance[0]))]
    return [
        [
            calibration if value > ratio * sum(each) / len(each) else math.exp(value) / total
            for value, total in zip(each, totals, strict=True)
        ]
        for each in significance
    ]


def ranks(values: list[float]) -> list[float]:
    """Place in ascending order over the number of values."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    return [order.index(place) / len(values) for place in range(len(values))]


class TestWiden(StillContract, SymmetricContract):
    """arXiv:2408.03092: columns by ranks of the change of length and of direction; vectors by magnitude."""

    rule = {"use": "widen", "ratio": 1.2, "calibration": 0.8}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if origin.ndim < 2:
            scores = widened([(expert - origin).abs().flatten().tolist() for expert in experts], 1.2, 0.8)
            parts = [torch.tensor(s).view_as(origin) * (e - origin) for s, e in zip(scores, experts, strict=True)]
            return origin + parts[0] + parts[1]
        merged = origin.clone().reshape(-1, *origin.shape[-2:])
        for index, base in enumerate(origin.reshape(-1, *origin.shape[-2:])):
            matrices = [expert.reshape(-1, *origin.shape[-2:])[index] for expert in experts]
            lengths, directions = [], []
            for matrix in matrices:
                columns = list(zip(matrix.T, base.T, strict=True))
                lengths.append(ranks([abs(float(c.norm() - b.norm())) for c, b in columns]))
                directions.append(ranks([1 - float((c * b).sum() / c.norm() / b.norm()) for c, b in columns]))
            scores = zip(widened(lengths, 1.2, 0.8), widened(directions, 1.2, 0.8), strict=True)
            for matrix, (length, direction) in zip(matrices, scores, strict=True):
                merged[index] += (torch.tensor(length) + torch.tensor(direction)) / 2 * (matrix - base)
        return merged.view_as(origin)


class TestModelStock(PresetContract, MeanContract, SymmetricContract):
    """arXiv:2403.19522, equation 4, for angles of up to 90°."""

    rule = {"use": "model_stock"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = (expert - origin for expert in experts)
        cosine = max(0.0, float((first * second).sum() / first.norm() / second.norm()))
        t = 2 * cosine / (1 + cosine)
        return t * (experts[0] + experts[1]) / 2 + (1 - t) * origin


class TestNearswap(PresetContract):
    """No entry moves by more than t root mean squares."""

    rule = {"use": "nearswap", "t": 0.7}
    num_experts = 1

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        delta = experts[0] - origin
        bound = 0.7 * math.sqrt(float((delta**2).mean()))
        return origin + torch.tensor([max(-bound, min(bound, v)) for v in delta.flatten().tolist()]).view_as(origin)


class TestArceeFusion(StillContract):
    """Importance from the median and one interquartile range on."""

    rule = {"use": "arcee_fusion", "reach": 1.0}
    num_experts = 1

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        delta, width = experts[0] - origin, origin.shape[-1] if origin.ndim else 1
        scores = []
        for row, base in zip(experts[0].reshape(-1, width), origin.reshape(-1, width), strict=True):
            ours, theirs = row.exp() / row.exp().sum() + 1e-8, base.exp() / base.exp().sum() + 1e-8
            scores += ((row - base).abs() * float((ours * (ours / theirs).log()).sum())).tolist()
        low, middle, high = (sorted(scores)[int(part * (len(scores) - 1))] for part in (0.25, 0.5, 0.75))
        kept = [float(score >= middle + (high - low)) for score in scores]
        return origin + delta * torch.tensor(kept, dtype=torch.float64).view_as(origin)


class TestLines(PresetContract, SymmetricContract):
    """arXiv:2410.17146: the only layer there is takes α."""

    rule = {"use": "lines", "alpha": 0.4, "beta": 0.6}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 0.4 * (experts[0] + experts[1] - 2 * origin)


class TestLinesFromNorms(PresetContract, SymmetricContract):
    """α = 1/n for a plain sum."""

    rule = {"use": "lines"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + (experts[0] + experts[1] - 2 * origin) / 2


class TestLayerSwap(PresetContract, MeanContract):
    """arXiv:2410.01335: the bottom layer is the first expert's."""

    rule = {"use": "layer_swap", "bottom": 1, "top": 0, "transition": 0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return experts[0]


class TestLayerSwapBetween(PresetContract, MeanContract, SymmetricContract):
    """A layer of transition is averaged."""

    rule = {"use": "layer_swap", "bottom": 0, "top": 0, "transition": 1}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (experts[0] + experts[1]) / 2
