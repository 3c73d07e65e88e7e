"""LoRA-LEGO against plain statements of arXiv:2409.16167."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.algebra import concatenated
from evomerge.merging.adapters.lego import lego

SEEDS = st.integers(0, 2**31)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def random_factors(rank: int, seed: int, scale: float = 1.0) -> Factors:
    torch_generator = torch.Generator().manual_seed(seed)
    b, a = (torch.randn(shape, generator=torch_generator) for shape in ((6, rank), (rank, 5)))
    return Factors(b, a, scale)


@given(st.lists(SEEDS, min_size=1, max_size=3))
def test_as_many_clusters_as_units_is_the_sum_at_another_variance(seeds: list[int]) -> None:
    """Nothing is averaged, so no norm decays: √(r/k) Σ BA is left, with r = 2 and k = 2n."""
    terms = [random_factors(2, seed) for seed in seeds]
    wanted = concatenated(terms, [1.0] * len(terms)).dense() * (2 / (2 * len(terms))) ** 0.5
    torch.testing.assert_close(lego(terms, [1.0] * len(terms), 2 * len(terms), generator()).dense(), wanted)


@given(SEEDS, st.sampled_from([1.0, 0.3, -2.0]))
def test_copies_of_one_adapter_give_it_back(seed: int, scale: float) -> None:
    term = random_factors(3, seed, scale)
    torch.testing.assert_close(lego([term] * 4, [1.0] * 4, 3, generator()).dense(), term.dense(), rtol=1e-4, atol=1e-5)


def test_one_cluster_by_hand() -> None:
    """k = 1: the mean unit, at the mean of the units' largest entries, times √(r/k)."""
    terms = [random_factors(2, seed) for seed in (0, 1)]
    units = [torch.cat([term.a_RI[j], term.b_OR[:, j]]) for term in terms for j in range(2)]
    mean = torch.stack(units).mean(dim=0)
    mean = mean * torch.stack([unit.abs().max() for unit in units]).mean() / mean.abs().max()
    wanted = torch.outer(mean[5:], mean[:5]) * (2 / 1) ** 0.5
    torch.testing.assert_close(lego(terms, [1.0, 1.0], 1, generator()).dense(), wanted)


def test_two_clusters_that_lie_apart_by_hand() -> None:
    """Units 0 of both adapters are alike, and units 1 are: two clusters of two."""
    rows = torch.tensor([[9.0, 9.0, 9.0], [-9.0, 9.0, -9.0]])
    terms = [Factors(rows.T + shift, rows - shift) for shift in (0.0, 1.0)]
    wanted = torch.zeros(3, 3)
    for j in range(2):
        units = [torch.cat([term.a_RI[j], term.b_OR[:, j]]) for term in terms]
        mean = (units[0] + units[1]) / 2
        mean = mean * (units[0].abs().max() + units[1].abs().max()) / 2 / mean.abs().max()
        wanted += torch.outer(mean[3:], mean[:3])
    torch.testing.assert_close(lego(terms, [1.0, 1.0], 2, generator()).dense(), wanted)


def test_a_weight_counts_units_as_often() -> None:
    terms = [random_factors(2, seed) for seed in (0, 1)]
    twice = lego([terms[0], terms[0], terms[1]], [1.0, 1.0, 1.0], 1, generator())
    torch.testing.assert_close(lego(terms, [2.0, 1.0], 1, generator()).dense(), twice.dense())


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_ranks_may_differ_and_the_result_has_the_rank_asked_for(rank: int) -> None:
    terms = [random_factors(2, 0), random_factors(6, 1)]
    assert lego(terms, [1.0, 1.0], rank, generator()).rank == rank
