"""What mergekit 0.1.5 computes under its names: all methods that are no sum of sparsified task vectors."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Density, Fraction, NotNegative, Positive
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.presets.spherical import normalised, share_of_second
from evomerge.recipe.stages import (
    ClipGate,
    EnergyWeigher,
    FusionGate,
    Karcher,
    Linear,
    NonzeroVote,
    Origin,
    OverlapWeigher,
    SignVote,
    Sphere,
    StageValue,
    Stock,
    VarianceGate,
    Weigh,
)

_FROM_ZERO = Origin(origin="zero")
_SUM = Linear(reduce="sum")
_MEAN = Linear(reduce="mean")


class MergekitLinear(PresetValue):
    """Weighted average, or sum where not normalised, of whole weights, as mergekit computes it (arXiv:2203.05482)."""

    use: Literal["linear@mergekit"]
    weights: Weights = None
    normalize: bool = True

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return _FROM_ZERO, weigh, _MEAN if self.normalize else _SUM


class MergekitPassthrough(PresetValue):
    """The first model as it is, or all of its weights times `scale`, as mergekit copies it."""

    use: Literal["passthrough@mergekit"]
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return _FROM_ZERO, Weigh(weigh=(self.scale, *(0.0,) * (num_experts - 1))), _SUM


class MergekitSlerp(PresetValue):
    """Spherical interpolation of whole weights, as mergekit computes it: linear where |cos| > 0.9995.

    The first expert is mergekit's base, the second the other model.
    """

    use: Literal["slerp@mergekit"]
    t: Fraction = 0.5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return _FROM_ZERO, Sphere(reduce="sphere", t=self.t, straight_from=0.9995)


class MergekitNuslerp(PresetValue):
    """Spherical interpolation by two weights, of task vectors where there is an origin, as mergekit computes it.

    Without `nuslerp_flatten` rows are interpolated, and columns with `nuslerp_row_wise`, whatever its name says.
    """

    use: Literal["nuslerp@mergekit"]
    weights: tuple[NotNegative, NotNegative] = pydantic.Field(default=(1.0, 1.0), description="two, 0 or more")
    nuslerp_flatten: bool = True
    nuslerp_row_wise: bool = False

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        lines: Literal["row", "column"] = "column" if self.nuslerp_row_wise else "row"
        scope = "tensor" if self.nuslerp_flatten else lines
        return (Sphere(reduce="sphere", t=share_of_second(self.weights), scope=scope),)


class MergekitMultislerp(PresetValue):
    """Mean direction of the experts times their mean length, as mergekit computes it, where its tangents cancel.

    Task vectors are merged where there is an origin, whole weights where there is none.
    """

    use: Literal["multislerp@mergekit"]
    weights: tuple[NotNegative, ...] | None = pydantic.Field(default=None, description="0 or more, one for each expert")
    normalize_weights: bool = True

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (1.0,) * num_experts
        if self.normalize_weights:
            weights = normalised(weights, num_experts)
        return Weigh(weigh=weights), Karcher(reduce="karcher", iterations=0)


class MergekitKarcher(PresetValue):
    """Karcher mean of whole weights, all alike, as mergekit computes it (arXiv:2603.04972)."""

    use: Literal["karcher@mergekit"]
    max_iter: int = pydantic.Field(default=10, ge=0)
    tol: NotNegative = 1e-5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        mean = Karcher(reduce="karcher", iterations=self.max_iter, tolerance=self.tol)
        return _FROM_ZERO, Weigh(weigh=(1.0 / num_experts,) * num_experts), mean


class MergekitModelStock(PresetValue):
    """Mean moved towards the base as far as the experts disagree, as mergekit computes it (arXiv:2403.19522)."""

    use: Literal["model_stock@mergekit"]
    filter_wise: bool = False

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return _MEAN, Stock(post="stock", scope="row" if self.filter_wise else "tensor", cosine="measured")


class MergekitSce(PresetValue):
    """Entries that vary most, signs elected, averaged by energy, as mergekit computes it (arXiv:2408.07990).

    Where all task vectors are small, mergekit weighs them alike by mistake; this does not.
    """

    use: Literal["sce@mergekit"]
    select_topk: Density = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            VarianceGate(gate="variance", density=self.select_topk),
            SignVote(vote="sign", tally="plain"),
            EnergyWeigher(weigh="energy"),
            _MEAN,
        )


class MergekitArceeFusion(PresetValue):
    """Entries of far-out importance copied from the expert, as mergekit's Arcee Fusion does, with exact quantiles."""

    use: Literal["arcee_fusion@mergekit"]

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return FusionGate(gate="fusion"), _SUM


class MergekitNearswap(PresetValue):
    """Every entry moved towards the expert by at most `t`, as mergekit computes it."""

    use: Literal["nearswap@mergekit"]
    t: Positive = 0.001

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return ClipGate(gate="clip", at=self.t, unit="one"), _SUM


class MergekitRam(PresetValue):
    """Entries averaged over the experts that move them, as mergekit computes it (arXiv:2601.13572)."""

    use: Literal["ram@mergekit"]
    epsilon: NotNegative = 1e-5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return NonzeroVote(vote="nonzero", epsilon=self.epsilon, unit="one"), _MEAN


class MergekitRamPlus(PresetValue):
    """RAM, with entries that one expert alone moves strengthened, per tensor, as in mergekit (arXiv:2601.13572)."""

    use: Literal["ramplus_tl@mergekit"]
    r: NotNegative = 0.1
    alpha: NotNegative = 0.2
    epsilon: NotNegative = 1e-5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = OverlapWeigher(
            weigh="overlap", epsilon=self.epsilon, unit="one", strength=self.r, limit=self.alpha, scope="tensor"
        )
        return weigh, _SUM


PRESETS = (
    MergekitLinear,
    MergekitPassthrough,
    MergekitSlerp,
    MergekitNuslerp,
    MergekitMultislerp,
    MergekitKarcher,
    MergekitModelStock,
    MergekitSce,
    MergekitArceeFusion,
    MergekitNearswap,
    MergekitRam,
    MergekitRamPlus,
)
