"""What mergekit 0.1.5 computes under its names: sparsified task vectors, added up."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from evomerge.recipe.numbers import Densities, Shares
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import (
    BandGate,
    BernoulliGate,
    Linear,
    RankBernoulliGate,
    Restore,
    Scale,
    SignVote,
    StageValue,
    TopGate,
    Weigh,
)


class _Arithmetic(PresetValue):
    """Sparsify, perhaps rescale to the old L1 norm, perhaps elect signs, add up or average.

    Attributes:
        elects: Whether signs are elected, by weighted sums.
        weights: Required by mergekit; 1 for each expert where absent.
        normalize: Whether entries are divided by the weights that speak there.
        scale: mergekit's `lambda`.
    """

    elects: ClassVar[bool] = False

    weights: Weights = None
    normalize: bool = False
    scale: float = 1.0

    @abstractmethod
    def sparsified(self) -> tuple[StageValue, ...]:
        """The stages up to the vote."""

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            *self.sparsified(),
            *((SignVote(vote="sign"),) if self.elects else ()),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="mean" if self.normalize else "sum"),
            Scale(post="scale", by=self.scale),
        )


class MergekitTaskArithmetic(_Arithmetic):
    """Sum of weighted task vectors, as mergekit computes it (arXiv:2212.04089)."""

    use: Literal["task_arithmetic@mergekit"]

    def sparsified(self) -> tuple[StageValue, ...]:
        """Nothing is dropped."""
        return ()


class MergekitTies(_Arithmetic):
    """Trim per tensor, elect signs by weighted sums, average: TIES as mergekit computes it (arXiv:2306.01708)."""

    elects: ClassVar[bool] = True

    use: Literal["ties@mergekit"]
    density: Densities = 1.0
    rescale: bool = False
    normalize: bool = True

    def sparsified(self) -> tuple[StageValue, ...]:
        """The largest entries, exactly so many of every tensor."""
        return TopGate(gate="top", density=self.density, ties="first"), _restore(self.rescale)


class _Dare(_Arithmetic):
    density: Densities = 1.0
    rescale: bool = True

    def sparsified(self) -> tuple[StageValue, ...]:
        """A random choice of entries."""
        return BernoulliGate(gate="bernoulli", density=self.density), _restore(self.rescale)


class MergekitDareLinear(_Dare):
    """Random drop, L1 norm restored, sum: DARE as mergekit computes it (arXiv:2311.03099).

    The masks are evomerge's own; mergekit's come from one stream of random numbers for the whole model.
    """

    use: Literal["dare_linear@mergekit"]


class MergekitDareTies(_Dare):
    """Random drop, L1 norm restored, signs elected, sum of those that agree: DARE-TIES as mergekit computes it.

    The masks are evomerge's own; mergekit's come from one stream of random numbers for the whole model.
    """

    elects: ClassVar[bool] = True

    use: Literal["dare_ties@mergekit"]


class _Breadcrumbs(_Arithmetic):
    density: Densities = 1.0
    gamma: Shares = 0.01
    rescale: bool = False

    def sparsified(self) -> tuple[StageValue, ...]:
        """A band of magnitudes of every tensor."""
        return BandGate(gate="band", density=self.density, gamma=self.gamma), _restore(self.rescale)


class MergekitBreadcrumbs(_Breadcrumbs):
    """Largest and smallest entries dropped, sum: Model Breadcrumbs as mergekit computes it (arXiv:2312.06795)."""

    use: Literal["breadcrumbs@mergekit"]


class MergekitBreadcrumbsTies(_Breadcrumbs):
    """Largest and smallest entries dropped, signs elected, sum of those that agree, as mergekit computes it."""

    elects: ClassVar[bool] = True

    use: Literal["breadcrumbs_ties@mergekit"]


class _Della(_Arithmetic):
    density: Densities = 1.0
    epsilon: Shares = 0.15
    rescale: bool = True

    def sparsified(self) -> tuple[StageValue, ...]:
        """A random choice that favours large entries of every row."""
        gate = RankBernoulliGate(gate="rank_bernoulli", density=self.density, epsilon=self.epsilon)
        return gate, _restore(self.rescale)


class MergekitDella(_Della):
    """Large entries kept rather than small ones, L1 norm restored, signs elected, mean: DELLA as in mergekit."""

    elects: ClassVar[bool] = True

    use: Literal["della@mergekit"]
    normalize: bool = True


class MergekitDellaLinear(_Della):
    """Large entries kept rather than small ones, L1 norm restored, sum: DELLA without its vote, as in mergekit."""

    use: Literal["della_linear@mergekit"]


def _restore(rescale: bool) -> Restore:
    return Restore(restore="l1" if rescale else "none")


PRESETS = (
    MergekitTaskArithmetic,
    MergekitTies,
    MergekitDareLinear,
    MergekitDareTies,
    MergekitBreadcrumbs,
    MergekitBreadcrumbsTies,
    MergekitDella,
    MergekitDellaLinear,
)
