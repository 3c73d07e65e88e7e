"""Task arithmetic with a shared correction that is found by projected gradient descent (DOGE, arXiv:2501.01230)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from evomerge.merging.order import threshold_over
from evomerge.merging.site import Site
from evomerge.merging.spectra import count_of, decompose, spectrum
from evomerge.merging.stages.gates import keep_from
from evomerge.merging.stages.reducers import said
from evomerge.merging.stages.signatures import Deltas, Factor, Masks
from evomerge.recipe.stages.subspaces import ProjectedDescent

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8
"""Adam's decay rates and its guard against division by zero (arXiv:1412.6980, algorithm 1)."""


def projected_descent(
    reduce: ProjectedDescent, deltas: Deltas, masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """Weighed, corrected and trimmed sum of experts of equal norm."""
    tasks = torch.stack(list(said(deltas, masks)))
    norms_N = torch.linalg.vector_norm(tasks, dim=(1, 2))
    factors = [
        weight * reduce.scale / norm if norm else 0.0 * weight
        for weight, norm in zip(weights, norms_N.tolist(), strict=True)
    ]
    correction = _correction(reduce, tasks, factors, _common_basis(reduce, deltas, site))
    merged = torch.zeros_like(correction)
    for index, (task, factor) in enumerate(zip(tasks, factors, strict=True)):
        term = (task + correction) * factor
        if reduce.density < 1:
            term *= keep_from(task, _threshold(reduce, site, index)) != 0
        merged += term
    return merged


def _correction(
    reduce: ProjectedDescent, tasks: torch.Tensor, factors: Sequence[Factor], basis_OS: torch.Tensor
) -> torch.Tensor:
    """Δ after so many steps of Adam on Σ_j ‖rowsum(τ_j ⊙ (τ_j − D))‖², where D = Σ_k λ_k (τ_k + Δ).

    The gradient is written out: it is −2 Λ Σ_j r_j τ_j row by row, where Λ = Σ_k λ_k and r_j are the row sums.
    """
    total = sum(factors[1:], start=factors[0])
    plain = sum((task * factor for task, factor in zip(tasks, factors, strict=True)), start=torch.zeros_like(tasks[0]))
    fixed_NO = (tasks * (tasks - plain)).sum(dim=2)
    size = reduce.step * (float(tasks.square().mean().sqrt()) if reduce.unit == "rms" else 1.0)
    correction, first, second = (torch.zeros_like(plain) for _ in range(3))
    for step in range(1, reduce.steps + 1):
        sums_NO = fixed_NO - (tasks * (total * correction)).sum(dim=2)
        gradient = -2 * total * (sums_NO[:, :, None] * tasks).sum(dim=0)
        gradient -= basis_OS @ (basis_OS.T @ gradient)
        first.mul_(_FIRST).add_(gradient, alpha=1 - _FIRST)
        second.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        spread = (second / (1 - _SECOND**step)).sqrt_().add_(_EPSILON)
        correction.addcdiv_(first, spread, value=-size / (1 - _FIRST**step))
    return correction


def _common_basis(reduce: ProjectedDescent, deltas: Deltas, site: Site) -> torch.Tensor:
    """Left directions that the experts share: the strongest of their leading ones side by side."""
    size = min(deltas[0].shape)
    leading = [spectrum(delta, site).leading(size // len(deltas)).left_OR for delta in deltas]
    return decompose(torch.cat(leading, dim=1)).left_OR[:, : count_of(reduce.subspace, size)]


def _threshold(reduce: ProjectedDescent, site: Site, expert: int) -> float:
    """The magnitude from which on an expert's largest entries lie, over all matrices of the rule."""

    def matrices() -> Iterator[torch.Tensor]:
        return (deltas[expert] for there, deltas in site.scope.deltas() if there.has_matrices(deltas[expert].shape))

    key = ("descent", reduce.density, expert)
    return site.scope.once(key, lambda: threshold_over(matrices, reduce.density))
