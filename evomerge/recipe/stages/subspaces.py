"""Reducers that bring experts together by the directions that their matrices span."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from evomerge.recipe.numbers import Density, NotNegative, Portion, Positive, Strength
from evomerge.recipe.stages.base import Elsewhere, StageValue


class MatrixSum(StageValue):
    """Adds the weighed matrices; what is no matrix is their mean (as Iso-C and others have it, arXiv:2502.04959)."""

    on_matrices: ClassVar[bool] = True

    reduce: Literal["matrix_sum"]

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "sum"


class Procrustes(StageValue):
    """Joins each expert's leading singular directions, made orthogonal to the others' (TSV-M, arXiv:2412.00081).

    D = polar([U_1 … U_n]) · diag(S_1 … S_n) · polar([V_1 … V_n])ᵀ. Directions without strength do not take part.

    Attributes:
        rank: Kept directions of each expert, as a share of min(rows, columns); at least one. TSV-M: 1/n.
        adapt: `sparsity` gives experts whose change sits in few entries a smaller rank (R-TSVM, arXiv:2502.06876):
            times min(1, 2 d), where d = ‖τ‖₁² / (numel · ‖τ‖₂²) is the share of entries that the change fills.
    """

    on_matrices: ClassVar[bool] = True

    reduce: Literal["procrustes"]
    rank: Portion
    adapt: Literal["none", "sparsity"] = "none"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "orthogonalised directions"


class CommonSpace(StageValue):
    """Joins the leading directions of the sum with each expert's own beyond them (Iso-CTS, arXiv:2502.04959).

    Attributes:
        common: Share of min(rows, columns) that the sum takes; the experts divide the rest evenly.
    """

    on_matrices: ClassVar[bool] = True

    reduce: Literal["common_space"]
    common: Strength = 0.8

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "common and own directions"


class SpectralFlow(StageValue):
    """The matrix M that disturbs the experts least: min Σ_k ‖(M − τ_k) τ_kᵀ‖² / ‖τ_k‖², in closed form.

    WUDI (arXiv:2503.08099) with the spectral filters of SWUDI. Gradient descent from the start for a time t/2 has
    filtered the eigenvalues λ of C = Σ τ_kᵀτ_k / ‖τ_k‖² by 1 − exp(−tλ); the papers stop it early.

    Attributes:
        t: Time of the flow; 0 is the start itself; absent: until it has converged.
        start: Where the flow starts: the weighed sum (WUDI) or mean (OptMerge, arXiv:2505.19892).
        keep: Share of C's eigenvectors, the largest first, in which it may flow; absent: as many as √λ has effective
            entries, (Σ√λ)² / Σλ (ASWUDI).
        rank: Of each expert the leading directions alone disturb, this share of min(rows, columns); OptMerge: 1/n.
    """

    on_matrices: ClassVar[bool] = True

    reduce: Literal["spectral_flow"]
    t: NotNegative | None = None
    start: Literal["sum", "mean"] = "sum"
    keep: Portion | None = 1.0
    rank: Portion = 1.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "least disturbance"


class Consensus(StageValue):
    """A common part and low-rank remainders of the experts (LoRE, arXiv:2502.10749), found in turns.

    Minimises ½ Σ_k ‖τ_k − C − δ_k‖² + μ Σ_k ‖δ_k‖_*, from the mean: δ_k has the singular values of τ_k − C less μ,
    C is the mean of τ_k − δ_k. The result is C + `gain` · combined δ_k. It does not depend on the origin.

    Attributes:
        mu: μ relative to the largest singular value of all τ_k − C at the start.
        steps: How many turns.
        combine: How the δ_k come together: by their mean (then gain 1 is the plain mean of the experts), or by
            trimming, electing signs and averaging (TIES, arXiv:2306.01708).
        density: What the trimming keeps.
        gain: Factor of the combined remainders.
    """

    on_matrices: ClassVar[bool] = True

    reduce: Literal["consensus"]
    mu: NotNegative = 0.1
    steps: int = pydantic.Field(default=20, ge=0)
    combine: Literal["mean", "ties"] = "ties"
    density: Density = 0.2
    gain: float = 1.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "consensus and remainders"


class Fold(StageValue):
    """Adds the experts in order, each only outside the directions that are taken (OPCM, arXiv:2501.09522).

    Of the running sum's singular directions the leading ones, which hold at most the share `alpha` of the nuclear
    norm, are closed, and the others on their diagonal. What is no matrix is summed. The order of the experts counts.
    """

    on_matrices: ClassVar[bool] = True
    elsewhere: ClassVar[Elsewhere] = "sum"
    takes_factor: ClassVar[bool] = True

    reduce: Literal["fold"]
    alpha: Strength = 0.5

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "one after the other"


class ProjectedDescent(StageValue):
    """Task arithmetic with a shared correction (DOGE, arXiv:2501.01230): Σ_k c_k scale/‖τ_k‖ · (τ_k + Δ), trimmed.

    Δ lessens Σ_j ‖rowsum(τ_j ⊙ (τ_j − D))‖² by Adam, its gradient kept out of the experts' common left subspace.
    Each expert's term keeps the entries where its own task vector is among the model's largest. Tensors that are no
    matrices stay the origin's, as in the authors' code.

    Attributes:
        scale: Norm that each task vector gets, tensor by tensor.
        density: Kept fraction, over all tensors of the rule.
        subspace: Dimension of the common subspace as a share of min(rows, columns).
        steps: Of Adam.
        step: Its step size, in weights or, with `unit: rms`, in root mean squares of the task vectors.
    """

    on_matrices: ClassVar[bool] = True
    is_homogeneous: ClassVar[bool] = False
    elsewhere: ClassVar[Elsewhere] = "origin"

    reduce: Literal["projected_descent"]
    scale: Positive = 0.07
    density: Density = 0.3
    subspace: Strength = 1 / 6
    steps: int = pydantic.Field(default=400, ge=0)
    step: NotNegative = 1e-4
    unit: Literal["weight", "rms"] = "weight"

    @property
    def spans_model(self) -> bool:
        """The trimming spans the model."""
        return self.density < 1

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "corrected sum"


STAGES = (MatrixSum, Procrustes, CommonSpace, SpectralFlow, Consensus, Fold, ProjectedDescent)
