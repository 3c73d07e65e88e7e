"""Factors: a low-rank change of a weight matrix, kept as the product of two thin matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """ΔW = scale · B · A (LoRA, arXiv:2106.09685, section 4.1), or its transpose.

    Attributes:
        b_OR: Outputs of the layer × rank, any float dtype.
        a_RI: Rank × inputs of the layer.
        scale: Of the product.
        is_transposed: Whether the model stores the weight as inputs × outputs, as embeddings and GPT-2 do.
    """

    b_OR: torch.Tensor
    a_RI: torch.Tensor
    scale: float = 1.0
    is_transposed: bool = False

    @property
    def rank(self) -> int:
        """Number of rank-1 units; the rank of the product is at most that."""
        return self.a_RI.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the stored weight."""
        shape = self.b_OR.shape[0], self.a_RI.shape[1]
        return shape[::-1] if self.is_transposed else shape

    def dense(self) -> torch.Tensor:
        """ΔW as the model stores it, float32. Nothing else here builds a matrix of that size."""
        b_OR, a_RI = self.b_OR.float(), self.a_RI.float()
        product = a_RI.T @ b_OR.T if self.is_transposed else b_OR @ a_RI
        return product.mul_(self.scale)

    def balanced(self) -> Factors:
        """The same change in float32, its scale shared out evenly, so that units of several adapters compare."""
        root = math.sqrt(abs(self.scale))
        return self.of(self.b_OR.float() * math.copysign(root, self.scale), self.a_RI.float() * root)

    def of(self, b_OR: torch.Tensor, a_RI: torch.Tensor) -> Factors:
        """Other factors of scale 1 for the same weight."""
        return replace(self, b_OR=b_OR, a_RI=a_RI, scale=1.0)

    def turned(self) -> Factors:
        """The same factors for a weight that is stored the other way around."""
        return replace(self, is_transposed=not self.is_transposed)
