"""Assignments against all permutations there are."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.alignment.assignment import assign


def best_by_hand(gains: torch.Tensor) -> float:
    size = range(len(gains))
    return max(sum(float(gains[i, order[i]]) for i in size) for order in itertools.permutations(size))


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_no_permutation_gains_more(size: int, seed: int) -> None:
    gains = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    order = assign(gains)
    assert sorted(order.tolist()) == list(range(size))
    assert float(gains[torch.arange(size), order].sum()) == pytest.approx(best_by_hand(gains))


def test_rows_that_want_the_same_column_are_settled() -> None:
    assert assign(torch.tensor([[3.0, 2.0], [3.0, 0.0]])).tolist() == [1, 0]


@pytest.mark.parametrize("gains", [torch.zeros(4, 4), torch.ones(4, 4), torch.eye(4), torch.diag(torch.ones(3), 1)])
def test_units_stay_where_they_are_unless_something_is_gained(gains: torch.Tensor) -> None:
    order = assign(gains)
    stays = gains.trace() == gains[torch.arange(4), order].sum()
    assert (order.tolist() == [0, 1, 2, 3]) == bool(stays)
