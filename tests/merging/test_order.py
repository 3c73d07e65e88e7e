"""Order statistics: exact, whatever the pieces."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.order import Pieces, by_rank, largest, largest_over, threshold_over, within_ranks


def cut(tensor: torch.Tensor, size: int) -> Pieces:
    def pieces() -> Iterator[torch.Tensor]:
        return (tensor[start : start + size] for start in range(0, tensor.numel(), size))

    return pieces


def by_sorting(tensor: torch.Tensor, num_kept: int) -> float:
    return float(np.sort(tensor.abs().numpy())[::-1][num_kept - 1])


@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 40))
def test_of_small_tensors(values: list[float], num_kept: int, size: int) -> None:
    tensor, num_kept = torch.tensor(values), min(num_kept, len(values))
    assert largest(tensor, num_kept) == by_sorting(tensor, num_kept)
    assert largest_over(cut(tensor, size), num_kept, tensor.numel()) == by_sorting(tensor, num_kept)


@pytest.mark.parametrize("share", [1e-6, 0.001, 0.2, 0.5, 0.93, 0.99999, 1.0])
@pytest.mark.parametrize("kind", ["normal", "half precision", "sparse", "constant", "in a regular pattern"])
def test_of_large_ones_in_two_passes(share: float, kind: str) -> None:
    tensor = torch.randn(200_003, generator=torch.Generator().manual_seed(0))
    if kind == "half precision":
        tensor = tensor.bfloat16().float()
    elif kind == "sparse":
        tensor = tensor * (tensor > 2)
    elif kind == "constant":
        tensor = torch.full_like(tensor, -0.5)
    elif kind == "in a regular pattern":  # which the sample is blind to
        tensor[::61] = 0
    num_kept = max(1, int(share * tensor.numel()))
    expected = by_sorting(tensor, num_kept)
    for in_memory in (0, 1 << 20):
        assert largest_over(cut(tensor, 30_011), num_kept, tensor.numel(), in_memory) == expected


def test_a_density_counts_over_all_pieces() -> None:
    pieces = [torch.tensor([5.0, -4.0, 0.1]), torch.tensor([3.0]), torch.tensor([[2.0, 1.0]])]
    assert threshold_over(lambda: pieces, 0.5) == 3
    assert threshold_over(lambda: pieces, 0.01) == 5
    assert threshold_over(lambda: pieces, 1.0) == pytest.approx(0.1)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5]), min_size=4, max_size=4), min_size=1, max_size=5))
def test_values_by_rank_follow_a_stable_sort(rows: list[list[float]]) -> None:
    found = by_rank(np.array(rows, dtype=np.float32), np.array([10, 20, 30, 40]))
    for row, values in zip(rows, found, strict=True):
        order = sorted(range(4), key=lambda place: (row[place], place))
        assert [int(values[place]) for place in order] == [10, 20, 30, 40]


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5]), min_size=1, max_size=12), st.data())
def test_a_band_of_ranks_follows_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(values) - 1))
    last = data.draw(st.integers(first + 1, len(values)))
    order = sorted(range(len(values)), key=lambda place: (values[place], place))
    inside = within_ranks(np.array(values, dtype=np.float32), first, last)
    assert set(np.flatnonzero(inside)) == set(order[first:last])
