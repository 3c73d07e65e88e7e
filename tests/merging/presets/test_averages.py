"""Averages and sums against their formulas."""

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import HomogeneousContract, LoneContract, MeanContract, PresetContract, SymmetricContract


class TestPassthrough(HomogeneousContract, LoneContract):
    """scale · W."""

    rule = {"use": "passthrough", "scale": 0.5}
    num_experts = 1
    lone = {"use": "passthrough"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return 0.5 * experts[0]


class TestSimpleAverage(PresetContract, MeanContract, SymmetricContract, LoneContract):
    """arXiv:2505.12082, equation 1: Σ M_i / N."""

    rule = {"use": "sma"}
    num_experts = 3
    lone = {"use": "sma"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (experts[0] + experts[1] + experts[2]) / 3


class TestWeightedAverage(PresetContract, MeanContract):
    """arXiv:2505.12082: weights i over their sum."""

    rule = {"use": "wma"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (1 * experts[0] + 2 * experts[1] + 3 * experts[2]) / 6


class TestMovingAverage(PresetContract, MeanContract):
    """arXiv:2505.12082: M ← α W + (1 − α) M."""

    rule = {"use": "ema", "alpha": 0.3}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        average = experts[0]
        for expert in experts[1:]:
            average = 0.3 * expert + (1 - 0.3) * average
        return average


class TestMetricAverage(PresetContract, MeanContract):
    """arXiv:2504.18580: weights in proportion to a power of the score."""

    rule = {"use": "mwa", "scores": [0.5, 0.25], "exponent": 2}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (4 * experts[0] + 1 * experts[1]) / 5


class TestMetricAverageOfLosses(PresetContract, MeanContract):
    """The smaller the loss, the more it counts."""

    rule = {"use": "mwa", "scores": [0.5, 0.25], "kind": "loss"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (1 * experts[0] + 2 * experts[1]) / 3


class TestMetricAverageOfTheBestAlone(PresetContract, MeanContract):
    """A power so great that only the best counts."""

    rule = {"use": "mwa", "scores": [70, 65], "exponent": 1000}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return experts[0]
