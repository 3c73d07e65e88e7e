"""Reducers that bring experts together by the directions that their matrices span."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.spectra import Spectrum, count_of, decompose, negligible, orthogonalised, spectrum
from evomerge.merging.stages.descent import projected_descent
from evomerge.merging.stages.gates import keep_largest
from evomerge.merging.stages.reducers import linear, said, weighed, weighted_sum
from evomerge.merging.stages.signatures import Deltas, Factor, Kind, Masks, Reducer
from evomerge.merging.stages.votes import agreeing, elected_sign
from evomerge.recipe.stages import Linear
from evomerge.recipe.stages.subspaces import (
    CommonSpace,
    Consensus,
    Fold,
    MatrixSum,
    Procrustes,
    ProjectedDescent,
    SpectralFlow,
)

Weights = Sequence[Factor]


def weighed_spectra(deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> list[Spectrum]:
    """The spectra of `weighed`; an expert's own is found once, whatever number it is weighed with."""
    return [
        decompose(delta * weight) if isinstance(weight, torch.Tensor) else spectrum(delta, site).scaled(weight)
        for delta, weight in zip(said(deltas, masks), weights, strict=True)
    ]


def matrix_sum(reduce: MatrixSum, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """Weighted sum of what experts say where they may speak."""
    return weighted_sum(said(deltas, masks), weights)


def procrustes(reduce: Procrustes, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """Leading directions of all experts, orthogonalised (TSV-M, arXiv:2412.00081)."""
    size = min(deltas[0].shape)
    spectra = weighed_spectra(deltas, masks, weights, site)
    shares = [1.0] * len(spectra)
    if reduce.adapt == "sparsity":
        shares = [min(1.0, 2 * filled(delta)) for delta in said(deltas, masks)]
    ranks = [max(1, count_of(reduce.rank * share, size)) for share in shares]
    return orthogonalised([each.leading(rank) for each, rank in zip(spectra, ranks, strict=True)])


def filled(delta: torch.Tensor) -> float:
    """Which share of its entries a task vector fills, ‖τ‖₁² / (numel · ‖τ‖₂²): 1 if all are alike, 2/π for normal."""
    square = float(delta.square().sum(dtype=torch.float64))
    return float(delta.abs().sum(dtype=torch.float64)) ** 2 / delta.numel() / square if square else 0.0


def common_space(reduce: CommonSpace, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """Directions of the sum and each expert's own beyond them, orthogonalised (Iso-CTS, arXiv:2502.04959)."""
    heard = weighed(deltas, masks, weights)
    size, num_experts = min(deltas[0].shape), len(heard)
    per_expert = min(round((size - count_of(reduce.common, size)) / num_experts), size // num_experts)
    common = decompose(weighted_sum(heard, [1.0] * num_experts)).leading(size - per_expert * num_experts)
    left_OC = common.left_OR
    own = [
        decompose(delta - left_OC @ (left_OC.T @ delta), float(torch.linalg.matrix_norm(delta))).leading(per_expert)
        for delta in heard
    ]
    return orthogonalised([common, *own])


def spectral_flow(reduce: SpectralFlow, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """The least disturbance, filtered by the eigenvalues of C (WUDI, arXiv:2503.08099).

    In float64, because C squares the condition of the task vectors.
    """
    start = linear(Linear(reduce=reduce.start), deltas, masks, weights, site)
    heard = weighed(deltas, masks, weights)
    tasks: Deltas = heard
    if reduce.rank < 1:
        size = max(1, count_of(reduce.rank, min(start.shape)))
        tasks = [parts.leading(size).matrix for parts in weighed_spectra(deltas, masks, weights, site)]
    c_II = start.new_zeros(start.shape[1], start.shape[1], dtype=torch.float64)
    b_OI = torch.zeros_like(start, dtype=torch.float64)
    for delta, task in zip(heard, tasks, strict=True):
        square = float(delta.square().sum(dtype=torch.float64))
        if square:
            gram_II = task.double().T @ task.double() / square
            c_II += gram_II
            b_OI += task.double() @ gram_II
    values_I, vectors_II = torch.linalg.eigh(c_II)
    passed_I, inverse_I = _filters(reduce, values_I, negligible(start.shape) ** 2)
    moved = (b_OI @ vectors_II) * inverse_I - (start.double() @ vectors_II) * passed_I
    merged: torch.Tensor = start + moved @ vectors_II.T
    return merged.float()


def _filters(reduce: SpectralFlow, values_I: torch.Tensor, lowest: float) -> tuple[torch.Tensor, torch.Tensor]:
    """f(λ) and f(λ)/λ, where f says how much of the way to the optimum is gone; eigenvalues in ascending order."""
    values_I = values_I.clamp(min=0)
    there = values_I > lowest * values_I[-1]
    passed_I = there.double() if reduce.t is None else -torch.expm1(-reduce.t * values_I) * there
    roots_I = values_I.sqrt()
    if reduce.keep is not None:
        kept = math.ceil(reduce.keep * len(values_I) - 1e-4)
    else:
        kept = math.ceil(float(roots_I.sum() ** 2 / values_I.sum())) if there.any() else 0
    passed_I[: len(values_I) - max(1, kept)] = 0
    return passed_I, passed_I / torch.where(there, values_I, 1.0)


def consensus(reduce: Consensus, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """A common part and what is left of each expert at low rank (LoRE, arXiv:2502.10749, algorithm 1)."""

    def mean(tensors: Deltas, masks: Masks = ()) -> torch.Tensor:
        return linear(Linear(reduce="mean"), tensors, masks, weights, site)

    tasks = said(deltas, masks)
    common, left = mean(tasks), [torch.zeros_like(task) for task in tasks]
    mu = reduce.mu * max(float(torch.linalg.matrix_norm(task - common, 2)) for task in tasks)
    for _ in range(reduce.steps):
        left = [_shrunk(task - common, mu) for task in tasks]
        common = mean([task - rest for task, rest in zip(tasks, left, strict=True)])
    if reduce.combine == "mean":
        return common + reduce.gain * mean(left)
    trimmed = [keep_largest(rest, reduce.density) for rest in left]
    return common + reduce.gain * mean(trimmed, agreeing(trimmed, elected_sign(trimmed)))


def _shrunk(matrix: torch.Tensor, mu: float) -> torch.Tensor:
    parts = decompose(matrix)
    return parts.valued((parts.values_R - mu).clamp(min=0)).matrix


def fold(reduce: Fold, deltas: Deltas, masks: Masks, weights: Weights, site: Site) -> torch.Tensor:
    """Add each expert off the directions that are taken (OPCM, arXiv:2501.09522).

    The model-wide factors that the paper applies at every step leave directions alone, so that one at the end, by
    `post: norm_match`, does the same.
    """
    first, *others = weighed(deltas, masks, weights)
    if not others:
        return first
    folded, taken = first, weighed_spectra(deltas[:1], masks[:1], weights[:1], site)[0]
    for index, task in enumerate(others):
        folded = folded + off(task, taken, reduce.alpha)
        if index + 1 < len(others):
            taken = decompose(folded)
    return folded


def off(task: torch.Tensor, taken: Spectrum, alpha: float) -> torch.Tensor:
    """A matrix without its block in the leading directions of a spectrum, and without the diagonal in the others."""
    values_R = taken.values_R.abs()
    closed = len(values_R) if alpha == 1 else int((values_R.cumsum(0) <= alpha * values_R.sum()).count_nonzero())
    left, right = taken.left_OR, taken.right_RI
    shown_RI = left.T @ task
    diagonal_R = (shown_RI * right).sum(dim=1)
    diagonal_R[:closed] = 0
    block = shown_RI[:closed] @ right[:closed].T
    return task - left[:, :closed] @ (block @ right[:closed]) - (left * diagonal_R) @ right


REDUCERS: dict[Kind, Reducer] = {
    MatrixSum: matrix_sum,
    Procrustes: procrustes,
    CommonSpace: common_space,
    SpectralFlow: spectral_flow,
    Consensus: consensus,
    Fold: fold,
    ProjectedDescent: projected_descent,
}
