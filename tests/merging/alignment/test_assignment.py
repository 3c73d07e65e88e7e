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


@pytest.mark.parametrize("gained", [0.0, 1e-8])
def test_units_stay_where_they_are_for_nothing_but_rounding(gained: float) -> None:
    swap = torch.tensor([[1, 1 + gained, 0], [1 + gained, 1, 0], [0, 0, 1]], dtype=torch.float64)
    assert assign(swap).tolist() == [0, 1, 2]
    assert assign(torch.full((4, 4), gained)).tolist() == [0, 1, 2, 3]


def test_units_move_for_a_small_gain() -> None:
    assert assign(torch.tensor([[1, 1.0001], [1, 1]], dtype=torch.float64)).tolist() == [1, 0]
