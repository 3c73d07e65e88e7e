"""Contracts and steps of formulas for presets that act on matrices as wholes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import Tensors
from evomerge.testing.stages import PresetContract, SymmetricContract

Svd = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def randoms(seed: int, count: int, *shape: int) -> list[torch.Tensor]:
    """Standard normal tensors."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in range(count)]


def low(seed: int, rank: int, rows: int = 12, columns: int = 9) -> torch.Tensor:
    """A matrix of low rank, as a LoRA leaves it."""
    (left,), (right,) = randoms(seed, 1, rows, rank), randoms(seed + 1, 1, rank, columns)
    return left @ right


def svd(matrix: torch.Tensor) -> Svd:
    """The thin singular value decomposition."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return left, values, right


def led(parts: Svd, rank: int) -> Svd:
    """The leading directions."""
    return parts[0][:, :rank], parts[1][:rank], parts[2][:rank]


def product(parts: Svd) -> torch.Tensor:
    """The matrix of a decomposition."""
    left, values, right = parts
    return left @ torch.diag(values) @ right


def polar(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with orthonormal rows or columns."""
    left, _, right = svd(matrix)
    return left @ right


def total(tensors: Tensors) -> torch.Tensor:
    """The sum."""
    return torch.stack(list(tensors)).sum(dim=0)


def mean(tensors: Tensors) -> torch.Tensor:
    """The mean."""
    return torch.stack(list(tensors)).mean(dim=0)


def by_matrix(
    deltas: Tensors, formula: Callable[[Tensors], torch.Tensor], elsewhere: Callable[[Tensors], torch.Tensor] = mean
) -> torch.Tensor:
    """The formula on a matrix or on every matrix of a stack, something else on what is none."""
    if deltas[0].dim() < 2:
        return elsewhere(deltas)
    if deltas[0].dim() == 2:
        return formula(deltas)
    return torch.stack([by_matrix(each, formula) for each in zip(*deltas, strict=True)])


class AloneContract(PresetContract):
    """For presets that give one expert alone back, up to the rounding of a decomposition.

    Attributes:
        lone: The rule under which they do.
    """

    lone: dict[str, Any]

    def test_one_expert_alone_comes_out(self) -> None:
        for (expert, *_), origin in self._examples():
            alone = self._run(self._pipe(self.lone, 1), [expert], origin)
            torch.testing.assert_close(alone, expert, rtol=1e-5, atol=1e-5)


class MatrixContract(PresetContract, SymmetricContract):
    """For symmetric presets whose formula is one of matrices, times a factor.

    Attributes:
        scale: The factor.
    """

    num_experts = 3
    scale = 1.0

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        """The published formula, from that of matrices."""
        deltas = [expert - origin for expert in experts]
        return origin + self.scale * by_matrix(deltas, self.matrices, self.elsewhere)

    @abstractmethod
    def matrices(self, deltas: Tensors) -> torch.Tensor:
        """The formula on one matrix of every expert."""

    def elsewhere(self, deltas: Tensors) -> torch.Tensor:
        """The formula on what is no matrix."""
        return mean(deltas)
