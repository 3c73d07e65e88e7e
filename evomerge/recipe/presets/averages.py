"""Presets that average whole weights or add up task vectors with factors known beforehand."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Fraction, NotNegative, Positive
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import Linear, Origin, Scale, StageValue, Weigh


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


class PassthroughPreset(PresetValue):
    """The first model as it is, or all of its weights times `scale` (passthrough of mergekit)."""

    use: Literal["passthrough"]
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return Origin(origin="zero"), Weigh(weigh=(self.scale, *(0.0,) * (num_experts - 1))), Linear(reduce="sum")


class SimpleAverage(PresetValue):
    """Average of the checkpoints of one run, all alike (SMA of PMA, arXiv:2505.12082, equation 1)."""

    use: Literal["sma"]

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return _mean((1.0,) * num_experts)


class WeightedAverage(PresetValue):
    """Average of the checkpoints of one run, later ones louder: 1, 2, 3 … (WMA of PMA, arXiv:2505.12082, equation 3).

    Experts are named from the oldest on.
    """

    use: Literal["wma"]

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return _mean(tuple(float(place) for place in range(1, num_experts + 1)))


class MovingAverage(PresetValue):
    """Exponential moving average of the checkpoints of one run (EMA of PMA, arXiv:2505.12082, equation 2).

    Experts are named from the oldest on; M becomes (1 − alpha) M + alpha W.
    """

    use: Literal["ema"]
    alpha: Fraction = 0.2

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = [1.0]
        for _ in range(num_experts - 1):
            weights = [*((1 - self.alpha) * weight for weight in weights), self.alpha]
        return _mean(tuple(weights))


class MetricAverage(PresetValue):
    """Average in proportion to a power of what each expert scored, or of one over its loss (MWA, arXiv:2504.18580).

    Exponent 0 is the plain average; the greater it is, the more the best counts. Without scores all are alike.
    """

    use: Literal["mwa"]
    scores: tuple[Positive, ...] | None = pydantic.Field(default=None, description="above 0, one for each expert")
    exponent: NotNegative = 1.0
    kind: Literal["score", "loss"] = "score"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        scores = self.scores or (1.0,) * num_experts
        shares = [score / max(scores) if self.kind == "score" else min(scores) / score for score in scores]
        return _mean(tuple(share**self.exponent for share in shares))  # at most 1: no exponent is too large


def _mean(weights: tuple[float, ...]) -> tuple[StageValue, ...]:
    return Origin(origin="zero"), Weigh(weigh=weights), Linear(reduce="mean")


PRESETS = (
    LinearPreset,
    TaskArithmeticPreset,
    PassthroughPreset,
    SimpleAverage,
    WeightedAverage,
    MovingAverage,
    MetricAverage,
)
