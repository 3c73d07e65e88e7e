"""What mergekit computes under its names for sums of sparsified task vectors, written down plainly."""

from collections.abc import Sequence

import torch

from evomerge.merging.draws import Draw
from evomerge.testing.formulas import (
    Tensors,
    agreed,
    banded,
    dropped,
    dropped_by_rank,
    mean_of_agreed,
    norm_restored,
    rank_chances,
    trimmed,
)
from evomerge.testing.stages import FormulaContract, MeanContract, PresetContract

W = (0.5, 1.0, 0.7)


class TestTaskArithmetic(PresetContract):
    """W0 + λ Σ w τ."""

    rule = {"use": "task_arithmetic@mergekit", "weights": [0.7, -0.4], "scale": 1.5}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + 1.5 * (0.7 * (experts[0] - origin) - 0.4 * (experts[1] - origin))


class TestTaskArithmeticNormalised(PresetContract, MeanContract):
    """W0 + Σ w τ / Σ w."""

    rule = {"use": "task_arithmetic@mergekit", "weights": [0.7, 0.4], "normalize": True}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + (0.7 * (experts[0] - origin) + 0.4 * (experts[1] - origin)) / 1.1


class TestTies(PresetContract):
    """Exactly k entries per tensor, weighted signs, mean of those that agree."""

    rule = {"use": "ties@mergekit", "weights": list(W), "density": [0.6, 0.3, 0.9], "scale": 1.2}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [trimmed(expert - origin, d) for expert, d in zip(experts, (0.6, 0.3, 0.9), strict=True)]
        return origin + 1.2 * mean_of_agreed(deltas, W)


class TestTiesRescaled(PresetContract):
    """With the L1 norm restored and a sum."""

    rule = {"use": "ties@mergekit", "weights": list(W), "density": 0.4, "normalize": False, "rescale": True}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [norm_restored(trimmed(expert - origin, 0.4), expert - origin) for expert in experts]
        return origin + agreed(deltas, W)[0]


def restored_draws(experts: Tensors, origin: torch.Tensor, density: float, draws: Sequence[Draw]) -> list[torch.Tensor]:
    """Task vectors of which a random part is kept, with their L1 norm restored."""
    deltas = [expert - origin for expert in experts]
    return [norm_restored(dropped(delta, density, draw), delta) for delta, draw in zip(deltas, draws, strict=True)]


class TestDareLinear(PresetContract):
    """Bernoulli masks, L1 norm restored, sum."""

    rule = {"use": "dare_linear@mergekit", "weights": [0.5, 0.8], "density": 0.6}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = restored_draws(experts, origin, 0.6, draws)
        return origin + 0.5 * first + 0.8 * second


class TestDareTies(PresetContract):
    """The same with a vote."""

    rule = {"use": "dare_ties@mergekit", "weights": list(W), "density": 0.6}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + agreed(restored_draws(experts, origin, 0.6, draws), W)[0]


class TestBreadcrumbs(PresetContract):
    """A band of every tensor, sum."""

    rule = {"use": "breadcrumbs@mergekit", "weights": [0.5, 0.8], "density": [0.6, 0.3], "gamma": 0.1}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = banded(experts[0] - origin, 0.6, 0.1), banded(experts[1] - origin, 0.3, 0.1)
        return origin + 0.5 * first + 0.8 * second


class TestBreadcrumbsTies(PresetContract):
    """A band of every tensor, L1 norm restored, mean of those that agree."""

    rule = {
        "use": "breadcrumbs_ties@mergekit",
        "weights": list(W),
        "density": 0.5,
        "gamma": [0.0, 0.2, 0.4],
        "rescale": True,
        "normalize": True,
    }
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        deltas = [expert - origin for expert in experts]
        kept = [norm_restored(banded(d, 0.5, gamma), d) for d, gamma in zip(deltas, (0.0, 0.2, 0.4), strict=True)]
        return origin + mean_of_agreed(kept, W)


def ranked_draws(
    experts: Tensors, origin: torch.Tensor, density: float, epsilon: float, draws: Sequence[Draw]
) -> list[torch.Tensor]:
    """Task vectors of which a random part is kept that favours the large, with their L1 norm restored."""
    kept = []
    for expert, draw in zip(experts, draws, strict=True):
        delta = expert - origin
        kept.append(norm_restored(dropped_by_rank(delta, rank_chances(delta, density, epsilon), draw), delta))
    return kept


class TestDella(PresetContract):
    """Probabilities by rank, L1 norm restored, mean of those that agree."""

    rule = {"use": "della@mergekit", "weights": list(W), "density": 0.5, "epsilon": 0.2}
    num_experts = 3

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return origin + mean_of_agreed(ranked_draws(experts, origin, 0.5, 0.2, draws), W)


class TestDellaLinear(PresetContract):
    """Probabilities by rank, L1 norm restored, sum."""

    rule = {"use": "della_linear@mergekit", "weights": [0.5, 0.8], "density": 0.7}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        first, second = ranked_draws(experts, origin, 0.7, 0.15, draws)
        return origin + 0.5 * first + 0.8 * second


class TestDensityOne(FormulaContract):
    """The default density switches DELLA off, as in mergekit."""

    rule = {"use": "della_linear@mergekit"}

    def formula(self, experts: Tensors, origin: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        return experts[0] + experts[1] - origin
