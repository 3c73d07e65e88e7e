import numpy as np
import pytest

from evomerge.optimizers.m2n2.diversity import coverage, entropy


def test_coverage_counts_what_anybody_solves():
    assert coverage(np.array([[1, 0, 0, 0], [1, 1, 0, 0.0]])) == 0.5


def test_entropy_is_one_where_half_solve_and_zero_where_all_agree():
    assert entropy(np.array([[1.0, 1.0], [0.0, 0.0]])) == pytest.approx(1.0)
    assert entropy(np.array([[1.0, 0.0], [1.0, 0.0]])) == 0.0
    assert entropy(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx(0.5)
