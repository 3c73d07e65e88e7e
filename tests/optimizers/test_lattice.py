import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ConfigError
from evomerge.optimizers.lattice import largest_lattice, lattice


@given(st.integers(1, 5), st.integers(1, 6))
def test_it_has_every_multiple_once(num_objectives: int, divisions: int) -> None:
    weights_KM = lattice(num_objectives, divisions)
    steps = {tuple(row) for row in np.rint(weights_KM * divisions).astype(int).tolist()}
    everything = np.ndindex(*(divisions + 1,) * num_objectives)
    assert steps == {row for row in everything if sum(row) == divisions}
    assert len(weights_KM) == math.comb(divisions + num_objectives - 1, num_objectives - 1) == len(steps)
    assert np.allclose(weights_KM.sum(axis=1), 1)


@pytest.mark.parametrize(("num_objectives", "count"), [(2, 20), (3, 15), (4, 20), (5, 15)])
def test_the_largest_below_twenty(num_objectives: int, count: int) -> None:
    assert len(largest_lattice(num_objectives, 20)) == count


def test_fewer_candidates_than_objectives_are_refused() -> None:
    assert np.array_equal(largest_lattice(5, 5)[::-1], np.eye(5))
    with pytest.raises(ConfigError, match=r"optimizer\.population: 4 candidates cannot follow 5 objectives"):
        largest_lattice(5, 4)
