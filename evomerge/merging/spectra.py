"""Singular value decompositions of task vectors, down to what can be told from rounding, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.errors import CandidateFailed
from evomerge.merging.site import Site

_EPSILON = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A matrix as singular directions and their strengths, without those of strength zero.

    Directions of strength zero are arbitrary, and the operators that treat all directions alike (flatten, polar)
    would fill them with noise. Zero is what lies below `negligible` of the largest.

    Attributes:
        left_OR: Orthonormal columns, float32.
        values_R: Descending in magnitude, float32; negative only where the matrix was scaled so.
        right_RI: Orthonormal rows, float32.
    """

    left_OR: torch.Tensor
    values_R: torch.Tensor
    right_RI: torch.Tensor

    @property
    def num_bytes(self) -> int:
        """Size in memory."""
        return sum(part.nbytes for part in (self.left_OR, self.values_R, self.right_RI))

    @property
    def matrix(self) -> torch.Tensor:
        """The matrix itself."""
        return (self.left_OR * self.values_R) @ self.right_RI

    @property
    def noise(self) -> float:
        """What rounding may make of zeros in products with the directions, unless strengths are nearly equal."""
        return 8 * _EPSILON * float(self.values_R[0].abs()) if len(self.values_R) else 0.0

    def leading(self, rank: int) -> Spectrum:
        """The first `rank` directions, or all if they are fewer."""
        return Spectrum(self.left_OR[:, :rank], self.values_R[:rank], self.right_RI[:rank])

    def valued(self, values_R: torch.Tensor) -> Spectrum:
        """The same directions with other strengths."""
        return Spectrum(self.left_OR, values_R, self.right_RI)

    def scaled(self, factor: float) -> Spectrum:
        """That of the matrix times a number."""
        return self.valued(self.values_R * factor) if factor else self.leading(0)


def negligible(shape: torch.Size) -> float:
    """The singular value, as a share of the largest, below which a float32 matrix holds rounding alone."""
    return max(64, max(shape)) * _EPSILON


def decompose(matrix: torch.Tensor, strongest: float = 0.0) -> Spectrum:
    """The spectrum of a matrix, by a thin decomposition.

    Args:
        matrix: Float32, of shape (O, I).
        strongest: The largest singular value of what the matrix is a remainder of, for what is zero beside it.

    Raises:
        CandidateFailed: If the matrix holds numbers that are not finite.
    """
    if not bool(matrix.isfinite().all()):
        raise CandidateFailed("a task vector has no singular values, because some of its numbers are not finite.")
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = int((values > negligible(matrix.shape) * values[:1].clamp(min=strongest)).count_nonzero())
    # copies, so that what is cut off takes no memory
    return Spectrum(left[:, :rank].contiguous(), values[:rank].clone(), right[:rank].contiguous())


def spectrum(delta: torch.Tensor, site: Site) -> Spectrum:
    """The spectrum of a matrix on its way through a pipe; remembered if it is an expert's task vector as it came."""
    for own, key in zip(site.own, site.keys, strict=False):
        if own is delta and key is not None and site.facts is not None:
            return site.facts.again(("spectrum", key, site.start), lambda: decompose(delta))
    return decompose(delta)


def polar(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix whose singular values are all one, or zero where the given one's are zero."""
    parts = decompose(matrix)
    return parts.left_OR @ parts.right_RI


def orthogonalised(parts: Sequence[Spectrum]) -> torch.Tensor:
    """All directions of several spectra, made orthogonal to each other with the least change (arXiv:2412.00081).

    Returns:
        polar([U_1 … U_n]) · diag(S_1 … S_n) · polar([V_1 … V_n])ᵀ, of shape (O, I).
    """
    left = polar(torch.cat([part.left_OR for part in parts], dim=1))
    right = polar(torch.cat([part.right_RI for part in parts], dim=0))
    return (left * torch.cat([part.values_R for part in parts])) @ right


def count_of(share: float, total: int) -> int:
    """How many of `total` a share is, rounded down; a share rounded to nine digits still counts as what it was."""
    return int(share * total + 1e-4)
