"""Norms and inner products."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging import norms

LISTS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=20)


def test_products_of_many_spans_are_those_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(600, 1000, generator=generator) for _ in range(3)]
    flats = torch.stack([delta.flatten() for delta in deltas]).double()
    np.testing.assert_allclose(norms.inner_products(deltas), (flats @ flats.T).numpy(), rtol=1e-12)


@given(LISTS)
def test_the_root_mean_square_is_that(values: list[float]) -> None:
    expected = math.sqrt(math.fsum(value**2 for value in values) / len(values))
    assert norms.root_mean_square(torch.tensor(values)) == pytest.approx(expected, abs=1e-9)


def test_what_has_no_direction_has_no_cosine() -> None:
    one, zero = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 2)
    assert norms.mean_cosine(norms.inner_products([one, zero])) == 0
    assert norms.mean_cosine(norms.inner_products([one, one, zero])) == pytest.approx(1 / 3)
    assert norms.mean_row_cosine([one, zero]).tolist() == [[0], [0]]
    assert norms.mean_row_cosine([one, -one]).tolist() == [[-1], [-1]]
    assert norms.root_mean_square(torch.zeros(0)) == 0


def test_a_scalar_is_a_row() -> None:
    assert float(norms.mean_row_cosine([torch.tensor(2.0), torch.tensor(-3.0)])) == -1
