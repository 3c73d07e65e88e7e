"""Presets that act on singular values and vectors, or otherwise on matrices as wholes, and need no data.

What is no matrix (and embeddings and heads, whose singular vectors mean nothing) takes the fallback of the authors'
code: the mean of the experts for most, their sum for OPCM, the origin's own for DOGE, and the plain method inside for
KnOTS and SVC.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import pydantic

from evomerge.recipe.numbers import Densities, Density, NotNegative, Portion, Positive, Strength
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.presets.sparse import DareTiesPreset, TiesPreset
from evomerge.recipe.stages import Linear, Scale, StageValue, Weigh
from evomerge.recipe.stages.spectral import (
    Calibrate,
    Flatten,
    JointSvd,
    NormMatch,
    NuclearRestore,
    OutlierGate,
    SpectralTopGate,
)
from evomerge.recipe.stages.subspaces import (
    CommonSpace,
    Consensus,
    Fold,
    MatrixSum,
    Procrustes,
    ProjectedDescent,
    SpectralFlow,
)


class SpectralPreset(PresetValue):
    """What presets on matrices have in common: a factor for each expert and one for their merge."""

    weights: Weights = None
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return *self._gates(), weigh, *self._merge(num_experts), Scale(post="scale", by=self.scale)

    def _gates(self) -> tuple[StageValue, ...]:
        return ()

    @abstractmethod
    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        """The reducer, and the posts before the factor."""


class StarPreset(SpectralPreset):
    """Mean of task vectors cut to a share of their nuclear norm and rescaled to all of it (STAR, arXiv:2502.10339).

    η of the paper is `density` in per cent.
    """

    use: Literal["star"]
    density: Densities = 0.4

    def _gates(self) -> tuple[StageValue, ...]:
        gate = SpectralTopGate(gate="spectral_top", density=self.density)
        return gate, NuclearRestore(restore="nuclear")

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (Linear(reduce="mean"),)


class LorePreset(SpectralPreset):
    """A common model found without a base, plus low-rank remainders by TIES (LoRE-Merging, arXiv:2502.10749).

    `combine: mean` at gain 1 is the plain mean. μ is relative to the largest singular value; the paper's is absolute.
    """

    use: Literal["lore"]
    mu: NotNegative = 0.1
    combine: Literal["mean", "ties"] = "ties"
    density: Density = 0.2
    gain: float = 1.0

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        reduce = Consensus(reduce="consensus", mu=self.mu, combine=self.combine, density=self.density, gain=self.gain)
        return (reduce,)


class IsoCPreset(SpectralPreset):
    """Sum of task vectors with all singular values at their mean (Iso-C, arXiv:2502.04959). Strength 0 is the sum.

    The mean is over the numerical rank, where the paper's code takes all directions, those of no strength too.
    """

    use: Literal["iso_c"]
    strength: Strength = 1.0

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (MatrixSum(reduce="matrix_sum"), Flatten(post="flatten", strength=self.strength))


class IsoCtsPreset(SpectralPreset):
    """Common directions and each expert's own, all singular values at their mean (Iso-CTS, arXiv:2502.04959)."""

    use: Literal["iso_cts"]
    common: Strength = 0.8
    strength: Strength = 1.0

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        space = CommonSpace(reduce="common_space", common=self.common)
        return (space, Flatten(post="flatten", strength=self.strength))


class TsvPreset(SpectralPreset):
    """Sum of each expert's leading singular directions, made orthogonal to the others' (TSV-M, arXiv:2412.00081).

    Each expert keeps 1/n of the directions unless `rank` says otherwise.
    """

    use: Literal["tsv_m"]
    rank: Portion | None = None

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (Procrustes(reduce="procrustes", rank=self.rank or 1 / num_experts),)


class ReweightedTsvPreset(SpectralPreset):
    """TSV-M with outliers clipped and ranks that follow sparsity (R-TSVM, arXiv:2502.06876), as we reconstruct it.

    The paper's equations were not at hand: the clipping at `sigmas` of each row and the share of filled entries
    that bounds the rank are ours.
    """

    use: Literal["r_tsvm"]
    sigmas: Positive = 3.0
    rank: Portion | None = None

    def _gates(self) -> tuple[StageValue, ...]:
        return (OutlierGate(gate="outlier", sigmas=self.sigmas),)

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (Procrustes(reduce="procrustes", rank=self.rank or 1 / num_experts, adapt="sparsity"),)


class WudiPreset(SpectralPreset):
    """The matrix that disturbs the experts least (WUDI, arXiv:2503.08099), in closed form instead of by Adam.

    `t` stops the flow from their sum early, as the paper's 300 small steps do.
    """

    use: Literal["wudi"]
    t: NotNegative | None = None

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (SpectralFlow(reduce="spectral_flow", t=self.t),)


class OptMergePreset(SpectralPreset):
    """WUDI from the mean, against each expert's leading 1/n of directions (OptMerge, arXiv:2505.19892).

    `t` 0.6 is what the authors' 300 steps of gradient descent at 10⁻⁴ with momentum 0.9 come to.
    """

    use: Literal["optmerge"]
    t: NotNegative | None = 0.6
    rank: Portion | None = None

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        rank = self.rank or 1 / num_experts
        return (SpectralFlow(reduce="spectral_flow", t=self.t, start="mean", rank=rank),)


class SwudiPreset(SpectralPreset):
    """WUDI through a spectral filter, in the leading `keep` of the eigenvectors (SWUDI, of OptMerge's authors).

    Their choice for language models is `keep: 0.85`.
    """

    use: Literal["swudi"]
    t: NotNegative | None = 300.0
    keep: Portion = 0.65

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (SpectralFlow(reduce="spectral_flow", t=self.t, keep=self.keep),)


class AswudiPreset(SpectralPreset):
    """WUDI in as many eigenvectors as carry weight, chosen tensor by tensor (ASWUDI, of OptMerge's authors)."""

    use: Literal["aswudi"]

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (SpectralFlow(reduce="spectral_flow", keep=None),)


class DogePreset(PresetValue):
    """Task vectors of equal norm, corrected by projected gradient descent and trimmed (DOGE, arXiv:2501.01230)."""

    use: Literal["doge_ta"]
    weights: Weights = None
    scale: Positive = 0.07
    density: Density = 0.3
    subspace: Strength = 1 / 6
    steps: int = pydantic.Field(default=400, ge=0)

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        reduce = ProjectedDescent(
            reduce="projected_descent",
            scale=self.scale,
            density=self.density,
            subspace=self.subspace,
            steps=self.steps,
        )
        return Weigh(weigh=self.weights or (1.0,) * num_experts), reduce


class OpcmPreset(SpectralPreset):
    """Experts added in order, each off the directions that are taken, at their mean norm (OPCM, arXiv:2501.09522)."""

    use: Literal["opcm"]
    alpha: Strength = 0.5

    def _merge(self, num_experts: int) -> tuple[StageValue, ...]:
        return (Fold(reduce="fold", alpha=self.alpha), NormMatch(post="norm_match", scope="model"))


class KnotsTiesPreset(PresetValue):
    """TIES in directions that the experts share (KnOTS-TIES, arXiv:2410.19735)."""

    use: Literal["knots_ties"]
    weights: Weights = None
    density: Densities = 0.2
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        inside = TiesPreset(use="ties", weights=self.weights, density=self.density, scale=self.scale)
        return JointSvd(lens="joint_svd"), *inside.pipe(num_experts)


class KnotsDareTiesPreset(PresetValue):
    """DARE-TIES in directions that the experts share (KnOTS-DARE-TIES, arXiv:2410.19735)."""

    use: Literal["knots_dare_ties"]
    weights: Weights = None
    density: Densities = 0.5
    restore: Literal["inverse", "l1"] = "inverse"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        inside = DareTiesPreset(use="dare_ties", weights=self.weights, density=self.density, restore=self.restore)
        return JointSvd(lens="joint_svd"), *inside.pipe(num_experts)


class SvcPreset(PresetValue):
    """Task arithmetic whose singular values are divided by how often experts counted them (SVC, arXiv:2602.05536)."""

    use: Literal["svc"]
    weights: Weights = None
    floor: Portion = 0.3
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (0.5,) * num_experts)
        post = Calibrate(post="calibrate", floor=self.floor)
        return weigh, Linear(reduce="sum"), post, Scale(post="scale", by=self.scale)


PRESETS = (
    StarPreset,
    LorePreset,
    IsoCPreset,
    IsoCtsPreset,
    TsvPreset,
    ReweightedTsvPreset,
    WudiPreset,
    OptMergePreset,
    SwudiPreset,
    AswudiPreset,
    DogePreset,
    OpcmPreset,
    KnotsTiesPreset,
    KnotsDareTiesPreset,
    SvcPreset,
)
