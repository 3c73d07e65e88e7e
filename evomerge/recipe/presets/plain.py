"""Presets that work entry by entry and need no data."""

from __future__ import annotations

from typing import Literal

from evomerge.recipe.numbers import Densities
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    Origin,
    Restore,
    Scale,
    SignVote,
    StageValue,
    TopGate,
    Weigh,
)


class LinearPreset(PresetValue):
    """Weighted average of whole weights, a model soup (arXiv:2203.05482). Equal weights unless given."""

    use: Literal["linear"]
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (1.0,) * num_experts
        return Origin(origin="zero"), Weigh(weigh=weights), Linear(reduce="mean")


class TaskArithmeticPreset(PresetValue):
    """Sum of weighted task vectors, times `scale` (arXiv:2212.04089). Weight 0.5 for each expert unless given."""

    use: Literal["task_arithmetic"]
    weights: Weights = None
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (0.5,) * num_experts
        return Weigh(weigh=weights), Linear(reduce="sum"), Scale(post="scale", by=self.scale)


class TiesPreset(PresetValue):
    """Trim, elect signs, average those that agree (arXiv:2306.01708), trimmed per tensor as mergekit does."""

    use: Literal["ties"]
    weights: Weights = None
    density: Densities = 0.2
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            TopGate(gate="top", density=self.density),
            SignVote(vote="sign"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


class DareLinearPreset(PresetValue):
    """Random drop, rescale, sum (arXiv:2311.03099). `restore: inverse` is the paper's, `l1` mergekit's."""

    use: Literal["dare_linear"]
    weights: Weights = None
    density: Densities = 0.5
    restore: Literal["inverse", "l1"] = "inverse"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BernoulliGate(gate="bernoulli", density=self.density),
            Restore(restore=self.restore),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


class DareTiesPreset(PresetValue):
    """Random drop, rescale, elect signs, sum those that agree: mergekit's `dare_ties`, which does not normalise."""

    use: Literal["dare_ties"]
    weights: Weights = None
    density: Densities = 0.5
    restore: Literal["inverse", "l1"] = "inverse"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BernoulliGate(gate="bernoulli", density=self.density),
            Restore(restore=self.restore),
            SignVote(vote="sign"),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


PRESETS = (LinearPreset, TaskArithmeticPreset, TiesPreset, DareLinearPreset, DareTiesPreset)
