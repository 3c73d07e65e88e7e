"""The metric reducer: the matrix nearest to all experts, where each measures distance by what its inputs show of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.errors import CandidateFailed
from evomerge.merging.site import Site
from evomerge.merging.stages.reducers import divide_by_share, said, weighted_sum
from evomerge.merging.stages.signatures import Deltas, Factor, Kind, Masks, Reducer
from evomerge.merging.stages.votes import tally
from evomerge.recipe.calibration import StatisticKind
from evomerge.recipe.stages import cancel
from evomerge.recipe.stages.calibrated import Metric


@dataclass(frozen=True, slots=True)
class _Curvature:
    """One expert's metric: X ↦ outputs · X · inputs.

    Attributes:
        inputs_II: Gram matrix of what the map reads, times the expert's weight, float64.
        outputs_OO: Gram matrix of the gradients at what it gives, float64; None for the unit matrix.
    """

    inputs_II: torch.Tensor
    outputs_OO: torch.Tensor | None

    def __call__(self, matrix_OI: torch.Tensor) -> torch.Tensor:
        product = matrix_OI @ self.inputs_II
        return product if self.outputs_OO is None else self.outputs_OO @ product


def metric(reduce: Metric, deltas: Deltas, masks: Masks, weights: Sequence[Factor], site: Site) -> torch.Tensor:
    """Solve Σ c_k A_k(D − τ_k) = 0 (RegMean, arXiv:2212.09849, equation 2; MaTS, arXiv:2312.04339, section 4).

    Factors that are tensors, one per entry, scale the task vectors instead of the metrics.

    Raises:
        CandidateFailed: If the metrics cancel or have no inverse.
    """
    heard = said(deltas, masks)
    factors = [weight if isinstance(weight, float | int) else 1.0 for weight in weights]
    curvatures = _curvatures(reduce, factors, site)
    if len(curvatures) < len(deltas) or not any(factors):
        return divide_by_share(weighted_sum(heard, weights), weights, masks)
    scaled = [
        delta * weight if isinstance(weight, torch.Tensor) else delta
        for delta, weight in zip(heard, weights, strict=True)
    ]
    turned = [delta.T if site.position.transposed else delta for delta in scaled]
    matrices = [delta.to(curvatures[0].inputs_II) for delta in turned]
    goal_OI = tally([curve(matrix) for curve, matrix in zip(curvatures, matrices, strict=True)])
    if reduce.of == "gram":  # one matrix stands for all experts
        curvatures = [_Curvature(tally([curve.inputs_II for curve in curvatures]), None)]
    if reduce.steps is None:
        solution_OI = _solve(curvatures[0].inputs_II, goal_OI)
    else:
        total = 1.0 if cancel(factors) else sum(factors)
        start_OI = tally([matrix * (reduce.start * c / total) for matrix, c in zip(matrices, factors, strict=True)])
        solution_OI = _descend(curvatures, goal_OI, start_OI, reduce.steps)
    merged = solution_OI.to(deltas[0])
    return merged.T.contiguous() if site.position.transposed else merged


def _curvatures(reduce: Metric, factors: Sequence[float], site: Site) -> list[_Curvature]:
    """One per expert; fewer where not all were measured."""
    found = []
    for index, factor in enumerate(factors):
        inputs = _gram(reduce, "gram" if reduce.inputs == "own" else "merged_gram", index, site)
        outputs = _gram(reduce, "grad_gram", index, site) if reduce.of == "kfac" else None
        if inputs is not None and (outputs is not None or reduce.of == "gram"):
            found.append(_Curvature(inputs * factor, outputs))
    return found


def _gram(reduce: Metric, kind: StatisticKind, expert: int, site: Site) -> torch.Tensor | None:
    """A Gram matrix with smaller entries off its diagonal, and a ridge on it."""
    reading = site.statistics(kind, expert)
    if reading is None:
        return None
    values = reading.values.double()
    gram: torch.Tensor = values * reduce.shrink
    diagonal = values.diagonal()
    gram.diagonal().copy_(diagonal + reduce.ridge * diagonal.mean())
    return gram


def _solve(metric_II: torch.Tensor, goal_OI: torch.Tensor) -> torch.Tensor:
    """X with X · metric = goal."""
    solution: torch.Tensor
    info: torch.Tensor
    solution, info = torch.linalg.solve_ex(metric_II, goal_OI, left=False)
    if int(info) or not bool(solution.isfinite().all()):
        raise CandidateFailed("reduce: metric has no solution: the Gram matrices have no inverse. Raise the ridge.")
    return solution


def _descend(
    curvatures: Sequence[_Curvature], goal_OI: torch.Tensor, start_OI: torch.Tensor, steps: int
) -> torch.Tensor:
    """Conjugate gradients (Hestenes and Stiefel 1952, doi:10.6028/jres.049.044) on all entries together."""
    solution, residual = start_OI, goal_OI - tally([curve(start_OI) for curve in curvatures])
    direction, square = residual, _dot(residual, residual)
    least = square * 1e-30  # a residual so small is rounding
    for _ in range(steps):
        product = tally([curve(direction) for curve in curvatures])
        curvature = _dot(direction, product)
        if square <= least or curvature <= 0:
            break
        solution = solution + direction * (square / curvature)
        residual = residual - product * (square / curvature)
        before, square = square, _dot(residual, residual)
        direction = residual + direction * (square / before)
    return solution


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.dot(first.flatten(), second.flatten()))


REDUCERS: dict[Kind, Reducer] = {Metric: metric}
