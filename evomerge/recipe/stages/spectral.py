"""Stages that act on singular values and vectors: a lens, gates, a restoration and posts for matrices."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import Densities, Portion, Positive, Strength
from evomerge.recipe.stages.base import StageValue
from evomerge.recipe.stages.gates import DensityGate


class JointSvd(StageValue):
    """Compares entries in one basis that the experts share: the left singular vectors of [τ_1 … τ_n] side by side.

    Of KnOTS (arXiv:2410.19735). Gates and votes then act on Uᵀτ_k. Linear stages do not see it.
    """

    on_matrices: ClassVar[bool] = True

    lens: Literal["joint_svd"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "in shared directions"


class SpectralTopGate(DensityGate):
    """Keeps the fewest leading singular directions that hold a share `density` of the nuclear norm.

    η of STAR (arXiv:2502.10339). Not nested: a second such gate takes its share of what the first one left.
    """

    on_matrices: ClassVar[bool] = True
    joins: ClassVar[bool] = False

    gate: Literal["spectral_top"]
    density: Densities

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "strongest directions"


class LowRankGate(DensityGate):
    """Keeps the leading `⌊density · min(rows, columns)⌋` singular directions, at least one."""

    on_matrices: ClassVar[bool] = True

    gate: Literal["low_rank"]
    density: Densities

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "low rank"


class OutlierGate(StageValue):
    """Clips entries beyond `sigmas` root mean squares of their row, as R-TSVM damps outliers (arXiv:2502.06876)."""

    on_matrices: ClassVar[bool] = True

    gate: Literal["outlier"]
    sigmas: Positive = 3.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "outliers clipped"


class NuclearRestore(StageValue):
    """Gives each gated matrix the nuclear norm that it had before the gates (STAR, arXiv:2502.10339)."""

    on_matrices: ClassVar[bool] = True

    restore: Literal["nuclear"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "rescaled to full nuclear norm"


class Flatten(StageValue):
    """Moves singular values towards their mean: σ ← (1 − strength) σ + strength · mean σ.

    At strength 1 the spectrum of Iso-C (arXiv:2502.04959). Only directions that are there count:
    the mean is over the numerical rank, because directions of value zero are arbitrary and must not be blown up.
    """

    on_matrices: ClassVar[bool] = True

    post: Literal["flatten"]
    strength: Strength = 1.0

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.strength == 0.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "isotropic" if self.strength == 1 else f"{self.strength:.0%} isotropic"


class Calibrate(StageValue):
    """Divides each singular value of the merged matrix by how often the experts counted it (SVC, arXiv:2602.05536).

    Along the left singular vector u_r, expert k is counted s = ⟨uᵀD, uᵀτ_k⟩ / ‖uᵀτ_k‖² times;
    σ_r ← σ_r · n / Σ_k max(floor, s). The experts are their task vectors before any stage. Directions of equal
    strength are arbitrary: after `flatten` at strength 1 it has nothing to hold on to.
    """

    on_matrices: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False

    post: Literal["calibrate"]
    floor: Portion = 0.3

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "singular values calibrated"


class NormMatch(StageValue):
    """Scales the merged task vector to the mean norm of the experts' own (OPCM, arXiv:2501.09522).

    `scope: model` takes one factor for all tensors of the rule, as the paper does.
    """

    is_homogeneous: ClassVar[bool] = False

    post: Literal["norm_match"]
    scope: Literal["tensor", "model"] = "model"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "at the experts' mean norm"


STAGES = (JointSvd, SpectralTopGate, LowRankGate, OutlierGate, NuclearRestore, Flatten, Calibrate, NormMatch)
