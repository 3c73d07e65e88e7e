"""Spherical presets against their formulas."""

import math
from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import MeanContract, PresetContract, SymmetricContract, merged


def along(point: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The exponential map of the unit sphere."""
    size = float(step.norm())
    return math.cos(size) * point + (math.sin(size) / size * step if size else 0 * step)


def towards(point: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """The logarithmic map of the unit sphere; none where the goal is opposite."""
    cosine = max(-1.0, min(1.0, float((point * goal).sum())))
    angle = math.acos(cosine)
    return angle / math.sin(angle) * (goal - cosine * point) if 1e-9 < angle < math.pi - 1e-9 else 0 * point


def climbed(deltas: Tensors, shares: Sequence[float], steps: int) -> torch.Tensor:
    """From the mean of the directions towards their mean on the sphere, times the mean length."""
    units = [delta / delta.norm() for delta in deltas]
    point = sum((share * each for share, each in zip(shares, units, strict=True)), start=torch.zeros_like(deltas[0]))
    point = point / point.norm()
    for _ in range(steps):
        pulls = [share * towards(point, each) for share, each in zip(shares, units, strict=True)]
        point = along(point, sum(pulls, start=torch.zeros_like(point)))
    return point * sum(share * float(delta.norm()) for share, delta in zip(shares, deltas, strict=True))


class TestNuslerp(PresetContract, MeanContract):
    """[sin((1−t)θ) τ_1 + sin(tθ) τ_2] / sin θ for every row, with t = w_2 / (w_1 + w_2)."""

    rule = {"use": "nuslerp", "weights": [0.3, 0.6], "scope": "row"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        rows = [(expert - origin).reshape(-1, origin.shape[-1] if origin.ndim else 1) for expert in experts]
        merged = []
        for one, other in zip(*rows, strict=True):
            angle = math.acos(max(-1.0, min(1.0, float((one * other).sum() / one.norm() / other.norm()))))
            straight = math.sin(angle) < 1e-6
            shares = (
                (1 / 3, 2 / 3) if straight else (math.sin(part * angle) / math.sin(angle) for part in (1 / 3, 2 / 3))
            )
            first, second = shares
            merged.append(first * one + second * other)
        return origin + torch.stack(merged).view_as(origin)


class TestMultislerp(PresetContract, MeanContract):
    """One step with logarithmic maps from the mean direction."""

    rule = {"use": "multislerp", "weights": [0.5, 1.0, 1.0]}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + climbed([expert - origin for expert in experts], (0.2, 0.4, 0.4), 1)


class TestKarcher(PresetContract, MeanContract, SymmetricContract):
    """Many steps: the mean on the sphere."""

    rule = {"use": "karcher", "iterations": 50, "tolerance": 0.0}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + climbed([expert - origin for expert in experts], (1 / 3, 1 / 3, 1 / 3), 50)


class TestKarcherOfTwo(PresetContract, MeanContract):
    """Of two it is spherical interpolation of the directions, times the mean length."""

    rule = {"use": "karcher", "weights": [0.3, 0.7], "iterations": 50}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + climbed([expert - origin for expert in experts], (0.3, 0.7), 50)

    def test_it_divides_the_angle_by_the_weights(self) -> None:
        first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        point = merged(self._pipe(self.rule, 2), [first, second], torch.zeros(2))
        assert math.isclose(math.atan2(float(point[1]), float(point[0])), 0.7 * math.pi / 2, rel_tol=1e-5)
