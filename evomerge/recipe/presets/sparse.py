"""Presets that thin out or simplify each task vector before they are added up."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Densities, Density, Positive, Shares
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import (
    BandGate,
    BernoulliGate,
    BlockGate,
    Largest,
    Linear,
    RankBernoulliGate,
    Restore,
    Scale,
    SignGate,
    SignVote,
    StageValue,
    StdRestore,
    TopGate,
    Weigh,
)


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


class PaperTies(PresetValue):
    """Trim over the whole model, elect signs, bring together those that agree: TIES as published (arXiv:2306.01708).

    All entries that equal the smallest kept one stay, weights do not vote, and where the vote is even the sign wins
    that most entries of the model elect. `merge` is the paper's disjoint mean, or sum or largest of those that agree.
    """

    use: Literal["ties@paper"]
    weights: Weights = None
    density: Densities = 0.2
    merge: Literal["mean", "sum", "max"] = "mean"
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        merge = Largest(reduce="absmax") if self.merge == "max" else Linear(reduce=self.merge)
        return (
            TopGate(gate="top", density=self.density, scope="model"),
            SignVote(vote="sign", tally="plain", zero="majority"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            merge,
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


class DellaPreset(PresetValue):
    """Large entries kept rather than small ones and rescaled by 1/p, signs elected, mean (DELLA, arXiv:2406.11617).

    `epsilon` is half of the paper's window. `restore: l1` is mergekit's.
    """

    use: Literal["della"]
    weights: Weights = None
    density: Densities = 0.7
    epsilon: Shares = 0.07
    restore: Literal["inverse", "l1"] = "inverse"
    scale: float = 1.1

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            RankBernoulliGate(gate="rank_bernoulli", density=self.density, epsilon=self.epsilon),
            Restore(restore=self.restore),
            SignVote(vote="sign"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


class DellaLinearPreset(PresetValue):
    """Large entries kept rather than small ones and rescaled by 1/p, sum: DELLA without its vote (arXiv:2406.11617)."""

    use: Literal["della_linear"]
    weights: Weights = None
    density: Densities = 0.7
    epsilon: Shares = 0.07
    restore: Literal["inverse", "l1"] = "inverse"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            RankBernoulliGate(gate="rank_bernoulli", density=self.density, epsilon=self.epsilon),
            Restore(restore=self.restore),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


class BreadcrumbsPreset(PresetValue):
    """Largest and smallest entries dropped, sum (Model Breadcrumbs, arXiv:2312.06795). `row` is the authors' scope."""

    use: Literal["breadcrumbs"]
    weights: Weights = None
    density: Densities = 0.9
    gamma: Shares = 0.01
    scope: Literal["tensor", "row"] = "tensor"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BandGate(gate="band", density=self.density, gamma=self.gamma, scope=self.scope),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


class BreadcrumbsTiesPreset(PresetValue):
    """Largest and smallest entries dropped, signs elected, mean of those that agree (arXiv:2312.06795, 2306.01708)."""

    use: Literal["breadcrumbs_ties"]
    weights: Weights = None
    density: Densities = 0.9
    gamma: Shares = 0.01
    scope: Literal["tensor", "row"] = "tensor"
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BandGate(gate="band", density=self.density, gamma=self.gamma, scope=self.scope),
            SignVote(vote="sign"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


class CabsPreset(PresetValue):
    """n of every m entries, each by one expert alone, the first choosing first; sum (CABS, arXiv:2503.01874)."""

    use: Literal["cabs"]
    n: int = pydantic.Field(default=64, ge=1)
    m: int = pydantic.Field(default=256, ge=1)
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            BlockGate(gate="block", n=self.n, m=self.m, owner="exclusive"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="sum"),
        )


class CompeftPreset(PresetValue):
    """Signs of the largest entries times `factor` standard deviations, sum (ComPEFT, arXiv:2311.13171)."""

    use: Literal["compeft"]
    weights: Weights = None
    density: Density = 0.2
    factor: Positive = 1.0
    scope: Literal["tensor", "model"] = "model"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            TopGate(gate="top", density=self.density, scope=self.scope),
            SignGate(gate="sign"),
            StdRestore(restore="std", factor=self.factor, scope=self.scope),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


class OneBitPreset(PresetValue):
    """Every task vector as its signs times its mean magnitude, tensor by tensor; sum (arXiv:2502.10743)."""

    use: Literal["one_bit"]
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            SignGate(gate="sign"),
            Restore(restore="l1"),
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
        )


PRESETS = (
    TiesPreset,
    PaperTies,
    DareLinearPreset,
    DareTiesPreset,
    DellaPreset,
    DellaLinearPreset,
    BreadcrumbsPreset,
    BreadcrumbsTiesPreset,
    CabsPreset,
    CompeftPreset,
    OneBitPreset,
)
