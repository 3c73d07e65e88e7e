"""Presets: published merge methods by name, each a macro that expands to a pipe of stages."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, get_args

from evomerge.documents import Value
from evomerge.recipe.numbers import Densities, Fraction
from evomerge.recipe.stages import (
    BernoulliGate,
    Linear,
    Origin,
    Restore,
    Scale,
    Sphere,
    StageValue,
    TopGate,
    Vote,
    Weigh,
)
from evomerge.recipe.where import Where

Weights: TypeAlias = tuple[float, ...] | None


class Preset(Protocol):
    """A method's name and parameters, and where in the model it acts."""

    where: Where | None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""


class LinearPreset(Value):
    """Weighted average of whole weights, a model soup (arXiv:2203.05482). Equal weights unless given."""

    where: Where | None = None
    use: Literal["linear"]
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (1.0,) * num_experts
        return Origin(origin="zero"), Weigh(weigh=weights), Linear(reduce="mean")


class TaskArithmeticPreset(Value):
    """Sum of weighted task vectors, times `scale` (arXiv:2212.04089). Weight 0.5 for each expert unless given."""

    where: Where | None = None
    use: Literal["task_arithmetic"]
    weights: Weights = None
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (0.5,) * num_experts
        return Weigh(weigh=weights), Linear(reduce="sum"), Scale(post="scale", by=self.scale)


class TiesPreset(Value):
    """Trim, elect signs, average those that agree (arXiv:2306.01708), trimmed per tensor as mergekit does."""

    where: Where | None = None
    use: Literal["ties"]
    weights: Weights = None
    density: Densities = 0.2
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            TopGate(gate="top", density=self.density),
            Vote(vote="sign"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


class DareLinearPreset(Value):
    """Random drop, rescale, sum (arXiv:2311.03099). `restore: inverse` is the paper's, `l1` mergekit's."""

    where: Where | None = None
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


class DareTiesPreset(Value):
    """Random drop, rescale, elect signs, sum those that agree: mergekit's `dare_ties`, which does not normalise."""

    where: Where | None = None
    use: Literal["dare_ties"]
    weights: Weights = None
    density: Densities = 0.5
    restore: Literal["inverse", "l1"] = "inverse"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BernoulliGate(gate="bernoulli", density=self.density),
            Restore(restore=self.restore),
            Vote(vote="sign"),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


class SlerpPreset(Value):
    """Spherical interpolation of two models' whole weights, from the first (t = 0) to the second (t = 1)."""

    where: Where | None = None
    use: Literal["slerp"]
    t: Fraction = 0.5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return Origin(origin="zero"), Sphere(reduce="sphere", t=self.t)


PresetValue: TypeAlias = (
    LinearPreset | TaskArithmeticPreset | TiesPreset | DareLinearPreset | DareTiesPreset | SlerpPreset
)

PRESETS: dict[str, type[PresetValue]] = {
    get_args(kind.model_fields["use"].annotation)[0]: kind for kind in get_args(PresetValue)
}
"""Every preset by its name."""
