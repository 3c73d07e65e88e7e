"""Weighers that give single entries or columns factors of their own."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import Density, NotNegative
from evomerge.recipe.stages.base import StageValue


class BalanceWeigher(StageValue):
    """Weighs entries by their own size and by their agreement with all experts (PCB-Merging, arXiv:2410.02396).

    The score is exp(n a²) · tanh(τ_k · Σ τ), with a the gated magnitude between its least (0) and greatest (1) and τ
    as it was before the gates. The share `ratio` of largest scores counts, from 0 at the smallest of them to 1 at the
    largest, per expert over the whole `model` or per tensor; where all scores are alike, all count fully.
    """

    is_homogeneous: ClassVar[bool] = False
    is_entrywise_over_model: ClassVar[bool] = True

    weigh: Literal["balance"]
    ratio: Density = 0.1
    scope: Literal["tensor", "model"] = "model"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "by balance of size and agreement"


class DivergenceWeigher(StageValue):
    """Weighs the columns of matrices by how far length and direction moved from the origin (WIDEN, arXiv:2408.03092).

    Both are ranked within an expert and compared between experts by a softmax; what exceeds `ratio` times the mean
    rank of its expert counts `calibration`. A tensor that is no matrix is compared by magnitudes, entry by entry.
    Embeddings are taken by rows, which are their tokens. `weights` multiply.
    """

    is_homogeneous: ClassVar[bool] = False

    weigh: Literal["divergence"]
    ratio: NotNegative = 1.0
    calibration: NotNegative = 1.0
    weights: tuple[float, ...] | None = None

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "by divergence"


STAGES = (BalanceWeigher, DivergenceWeigher)
