"""Moments: sums over the entries of a tensor from which norms, kinship and conflicts follow, exactly for any union."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from evomerge.documents import Value

Gram: TypeAlias = npt.NDArray[np.float64]
_ONES, _BASE, _FIRST = 0, 1, 2
"""Rows of `values_RR`: ones, the base's weights, then the task vector of every expert."""

_ROUNDING = 1e-12


class Change(Value):
    """What one expert changed in the base. None where a ratio has no meaning, such as an angle to nothing.

    Attributes:
        norm: ‖τ‖, of the task vector τ = W − W0.
        relative_norm: ‖τ‖ / ‖W0‖.
        cosine_with_base: Of W and W0.
        zero_share: Share of the entries with τ exactly zero.
    """

    norm: float
    relative_norm: float | None
    cosine_with_base: float | None
    zero_share: float


class Kinship(Value):
    """How two experts' changes relate (Model Kinship, arXiv 2410.12613; cosines keep their sign here).

    Attributes:
        cosine: Of the two task vectors.
        pearson: Their linear correlation, which is the cosine after means are taken away.
        conflict: Share of opposite signs among the entries that both moved; 0.5 is chance.
        weighted_conflict: The same with every entry counted |τ_i τ_j| times, so that large changes count more.
    """

    cosine: float | None
    pearson: float | None
    conflict: float | None
    weighted_conflict: float | None


@dataclass(frozen=True, slots=True)
class Moments:
    """Gram matrices of one part of the models. Those of a union of parts are their sum.

    Attributes:
        values_RR: Inner products of R = 2 + N rows: ones, the base's weights, and N task vectors; float64.
        magnitudes_NN: Inner products of the |τ|.
        signs_NN: Inner products of the signs of τ: entries that agree less those that conflict.
        moved_NN: Inner products of τ ≠ 0: entries that both moved.
    """

    values_RR: Gram
    magnitudes_NN: Gram
    signs_NN: Gram
    moved_NN: Gram

    @classmethod
    def nothing(cls, num_experts: int) -> Moments:
        """Of no entries."""
        each_NN = np.zeros((num_experts, num_experts))
        return cls(np.zeros((num_experts + _FIRST,) * 2), each_NN, each_NN, each_NN)

    @classmethod
    def of(cls, base_C: torch.Tensor, experts: list[torch.Tensor], room: torch.Tensor | None = None) -> Moments:
        """Of one chunk of C entries, in float64 whatever the dtype they are stored in.

        Args:
            base_C: The base's weights.
            experts: Those of every expert.
            room: What `workspace` gave, for at least C entries, to use again; absent: new.
        """
        room = workspace(len(experts), base_C.numel()) if room is None else room
        rows_RC, spare_NC = torch.split(room[:, : base_C.numel()], [len(experts) + _FIRST, len(experts)])
        changes_NC = rows_RC[_FIRST:]
        rows_RC[_BASE] = base_C
        for change_C, weights_C in zip(changes_NC, experts, strict=True):
            change_C.copy_(weights_C).sub_(rows_RC[_BASE])
        values_RR, magnitudes_NN = _gram(rows_RC), _gram(torch.abs(changes_NC, out=spare_NC))
        signs_NN = _gram(torch.sign(changes_NC, out=spare_NC))
        return cls(values_RR, magnitudes_NN, signs_NN, _gram(spare_NC.abs_()))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.values_RR + other.values_RR,
            self.magnitudes_NN + other.magnitudes_NN,
            self.signs_NN + other.signs_NN,
            self.moved_NN + other.moved_NN,
        )

    def only(self, experts: list[int]) -> Moments:
        """Of some of the experts."""
        rows = [_ONES, _BASE, *(expert + _FIRST for expert in experts)]
        each = np.ix_(experts, experts)
        return Moments(
            self.values_RR[np.ix_(rows, rows)], self.magnitudes_NN[each], self.signs_NN[each], self.moved_NN[each]
        )

    @property
    def num_entries(self) -> int:
        """Of one model."""
        return int(self.values_RR[_ONES, _ONES])

    @property
    def is_finite(self) -> bool:
        """False if any model holds a NaN or an infinity here."""
        return bool(np.isfinite(self.values_RR).all())

    @property
    def base_norm(self) -> float:
        """‖W0‖."""
        return math.sqrt(self.values_RR[_BASE, _BASE])

    def change(self, expert: int) -> Change:
        """What an expert changed."""
        row = expert + _FIRST
        base, cross, change = self.values_RR[_BASE, _BASE], self.values_RR[_BASE, row], self.values_RR[row, row]
        weights = max(base + 2 * cross + change, 0.0)
        moved = self.moved_NN[expert, expert]
        return Change(
            norm=math.sqrt(change),
            relative_norm=math.sqrt(change / base) if base else None,
            cosine_with_base=_cosine(base + cross, base, weights),
            zero_share=1 - moved / self.num_entries if self.num_entries else 0.0,
        )

    def kinship(self, one: int, other: int) -> Kinship:
        """How the changes of two experts relate."""
        means_RR = np.outer(self.values_RR[_ONES], self.values_RR[_ONES]) / max(self.num_entries, 1)
        centred_RR = self.values_RR - means_RR
        centred_RR[np.abs(centred_RR) < _ROUNDING * means_RR] = 0  # a constant varies only by rounding
        row, column = one + _FIRST, other + _FIRST
        return Kinship(
            cosine=_kinship(self.values_RR, row, column),
            pearson=_kinship(centred_RR, row, column),
            conflict=_conflict(self.signs_NN[one, other], self.moved_NN[one, other]),
            weighted_conflict=_conflict(self.values_RR[row, column], self.magnitudes_NN[one, other]),
        )

    def distance(self, one: int, other: int) -> float:
        """‖τ_i − τ_j‖ relative to the larger of both; 0 for equal models."""
        row, column = one + _FIRST, other + _FIRST
        squares = [self.values_RR[row, row], self.values_RR[column, column]]
        apart = max(sum(squares) - 2 * self.values_RR[row, column], 0.0)
        return math.sqrt(apart / max(squares)) if max(squares) else 0.0


def workspace(num_experts: int, num_entries: int) -> torch.Tensor:
    """Memory that moments are computed in, whose first row is the ones."""
    room = torch.empty((2 * num_experts + _FIRST, num_entries), dtype=torch.float64)
    room[_ONES] = 1.0
    return room


def _gram(rows_RC: torch.Tensor) -> Gram:
    products_RR: Gram = (rows_RC @ rows_RC.T).numpy()
    return products_RR


def _kinship(gram_RR: Gram, row: int, column: int) -> float | None:
    return _cosine(gram_RR[row, column], gram_RR[row, row], gram_RR[column, column])


def _cosine(product: float, square: float, other_square: float) -> float | None:
    if square <= 0 or other_square <= 0:
        return None
    return float(np.clip(product / math.sqrt(square) / math.sqrt(other_square), -1, 1))


def _conflict(signed: float, total: float) -> float | None:
    """Share of the total that conflicts, where signed = agreeing − conflicting and total = agreeing + conflicting."""
    return float(np.clip((1 - signed / total) / 2, 0, 1)) if total > 0 else None
