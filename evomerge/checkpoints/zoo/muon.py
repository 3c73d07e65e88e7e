"""Muon: momentum whose update is made nearly orthogonal, matrix by matrix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration."""
NEWTON_SCHULZ_STEPS = 5


def orthogonalised(matrices_KMN: torch.Tensor) -> torch.Tensor:
    """Each matrix with its singular values brought near one (between about 0.7 and 1.2), the vectors kept.

    Args:
        matrices_KMN: fp32, at most as many rows as columns.
    """
    first, third, fifth = NEWTON_SCHULZ
    x: torch.Tensor = matrices_KMN / matrices_KMN.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) in fp32, all matrices of one shape at once.

    `torch.optim.Muon` does the same in bfloat16, one matrix at a time; on a CPU without bfloat16 instructions that
    takes five times as long as the whole rest of a step.

    Args:
        matrices: fp32 parameters with two dimensions.
        lr: Step size; a matrix taller than wide takes sqrt(rows / columns) times as much.
        momentum: Of Nesterov's kind.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        def shape(matrix: torch.Tensor) -> tuple[int, int]:
            return min(matrix.shape), max(matrix.shape)

        groups = [list(group) for _, group in itertools.groupby(sorted(matrices, key=shape), key=shape)]
        super().__init__([{"params": group} for group in groups], {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change every parameter by its gradient."""
        for group in self.param_groups:
            updates = [self._with_momentum(matrix, group["momentum"]) for matrix in group["params"]]
            wide_KMN = torch.stack([update.mT if update.shape[0] > update.shape[1] else update for update in updates])
            for matrix, wide in zip(group["params"], orthogonalised(wide_KMN), strict=True):
                rows, columns = matrix.shape
                rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
                matrix.sub_(wide.mT if rows > columns else wide, alpha=rate)

    def _with_momentum(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        gradient = matrix.grad if matrix.grad is not None else torch.zeros_like(matrix)
        average: torch.Tensor = self.state[matrix].setdefault("average", torch.zeros_like(matrix))
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)
