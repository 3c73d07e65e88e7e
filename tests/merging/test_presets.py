"""Every preset against its published formula, written down plainly, and against the laws that all presets keep."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from evomerge.merging.draws import Draw, chance
from evomerge.recipe.presets import PRESETS
from evomerge.testing.formulas import Tensors, agreed, dropped, trimmed
from evomerge.testing.stages import LoneContract, MeanContract, PresetContract, SymmetricContract


class TestLinear(PresetContract, MeanContract, LoneContract):
    """Model soups, arXiv:2203.05482: Σ c_k W_k / Σ c_k."""

    rule = {"use": "linear", "weights": [0.5, 1.0]}
    lone = {"use": "linear"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (0.5 * experts[0] + 1.0 * experts[1]) / 1.5


class TestUniform(PresetContract, MeanContract, SymmetricContract, LoneContract):
    """The plain average of three."""

    rule = {"use": "linear"}
    num_experts = 3
    lone = {"use": "linear", "weights": [0.3]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return (experts[0] + experts[1] + experts[2]) / 3


class TestTaskArithmetic(PresetContract, LoneContract):
    """arXiv:2212.04089: W0 + λ Σ c_k τ_k."""

    rule = {"use": "task_arithmetic", "weights": [0.7, -0.4], "scale": 1.5}
    lone = {"use": "task_arithmetic", "weights": [2.0], "scale": 0.5}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 1.5 * (0.7 * (experts[0] - origin) - 0.4 * (experts[1] - origin))


class TestTaskArithmeticByDefault(PresetContract, SymmetricContract):
    """Half of every task vector."""

    rule = {"use": "task_arithmetic"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + sum((0.5 * (expert - origin) for expert in experts), start=torch.zeros_like(origin))


class TestTies(PresetContract, LoneContract):
    """arXiv:2306.01708, section 4, trimmed per tensor and with weights in the vote as in mergekit."""

    rule = {"use": "ties", "weights": [0.5, 1.0, 0.7], "density": [0.6, 0.3, 0.9], "scale": 1.2}
    num_experts = 3
    lone = {"use": "ties", "weights": [0.3], "density": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [trimmed(expert - origin, d) for expert, d in zip(experts, (0.6, 0.3, 0.9), strict=True)]
        total, share = agreed(deltas, (0.5, 1.0, 0.7))
        return origin + 1.2 * total / torch.where(share == 0, 1.0, share)


class TestTiesByDefault(PresetContract, SymmetricContract):
    """A fifth of every task vector."""

    rule = {"use": "ties"}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        total, share = agreed([trimmed(expert - origin, 0.2) for expert in experts], (1, 1, 1))
        return origin + total / torch.where(share == 0, 1.0, share)


class TestUntrimmedTies(PresetContract, MeanContract):
    """Without trimming, identical experts agree everywhere."""

    rule = {"use": "ties", "density": 1.0, "weights": [0.2, 0.6]}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        total, share = agreed([expert - origin for expert in experts], (0.2, 0.6))
        return origin + total / torch.where(share == 0, 1.0, share)


class TestDareLinear(PresetContract, LoneContract):
    """arXiv:2311.03099, equation 2, then task arithmetic."""

    rule = {"use": "dare_linear", "weights": [0.5, 0.8], "density": [0.4, 0.7]}
    lone = {"use": "dare_linear", "weights": [1.0], "density": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first = dropped(experts[0] - origin, 0.4, draws[0]) / chance(0.4)
        second = dropped(experts[1] - origin, 0.7, draws[1]) / chance(0.7)
        return origin + 0.5 * first + 0.8 * second


class TestDareLinearOfMergekit(PresetContract, SymmetricContract):
    """mergekit's `dare_linear`, which restores the L1 norm."""

    rule = {"use": "dare_linear", "restore": "l1"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        merged = origin.clone()
        for expert, draw in zip(experts, draws, strict=True):
            kept = dropped(expert - origin, 0.5, draw)
            if kept.any():
                merged += 0.5 * kept * (expert - origin).abs().sum() / kept.abs().sum()
        return merged


class TestDareTies(PresetContract, LoneContract):
    """mergekit's `dare_ties`: a vote and a sum, without division by the weights that speak."""

    rule = {"use": "dare_ties", "weights": [0.5, 0.8, 1.1], "density": 0.6}
    num_experts = 3
    lone = {"use": "dare_ties", "weights": [1.0], "density": 1.0}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [
            dropped(expert - origin, 0.6, draw) / chance(0.6) for expert, draw in zip(experts, draws, strict=True)
        ]
        return origin + agreed(deltas, (0.5, 0.8, 1.1))[0]


class TestSlerp(PresetContract, MeanContract):
    """Shoemake 1985: [sin((1−t)θ) a + sin(tθ) b] / sin θ over whole tensors."""

    rule = {"use": "slerp", "t": 0.3}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = experts
        cosine = float((first * second).sum() / first.norm() / second.norm())
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        if math.sin(angle) < 1e-4:  # one number has no direction but forwards and backwards
            return 0.7 * first + 0.3 * second
        return (math.sin(0.7 * angle) * first + math.sin(0.3 * angle) * second) / math.sin(angle)


class TestSlerpHalfway(PresetContract, MeanContract, SymmetricContract):
    """Halfway there is no first and second."""

    rule = {"use": "slerp"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = experts
        if first.numel() == 1:
            return (first + second) / 2
        bisector = first + second
        cosine = float((first * second).sum() / first.norm() / second.norm())
        return bisector / math.sqrt(2 + 2 * cosine)


WHOLE = [name for name, kind in PRESETS.items() if not any(stage.on_factors for stage in kind(use=name).pipe(2))]
"""Presets of factors are held to theirs in tests/merging/adapters."""


@pytest.mark.parametrize("name", WHOLE)
def test_every_preset_is_held_to_its_formula(name: str) -> None:
    suites = "".join(path.read_text() for path in Path(__file__).parent.glob("**/test_*.py"))
    assert f'"use": "{name}"' in suites
