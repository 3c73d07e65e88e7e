"""One seed, and independent named children of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evomerge import seeds

NAMES = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3).map(tuple)


@given(st.integers(0, 2**32), NAMES)
def test_a_child_depends_on_seed_and_names_alone(seed: int, names: tuple[str, ...]) -> None:
    first, again = seeds.generator(seed, *names), seeds.generator(seed, *names)
    assert first.random(4).tolist() == again.random(4).tolist()


@given(st.integers(0, 2**32), NAMES, st.integers(0, 2**32), NAMES)
def test_children_of_other_seeds_or_names_differ(
    seed: int, names: tuple[str, ...], other_seed: int, other_names: tuple[str, ...]
) -> None:
    if (seed, names) != (other_seed, other_names):
        assert seeds.generator(seed, *names).random() != seeds.generator(other_seed, *other_names).random()


def test_streams_stay_as_they_are() -> None:
    """A search of an earlier version must be repeatable, so that these numbers may not change."""
    assert seeds.integer(0, "optimizer") == 2097661794
    assert seeds.child(7, "items", "math").generate_state(2).tolist() == [2013352112, 444119471]


@given(st.integers(0, 2**63))
def test_integers_fit_libraries_that_take_31_bits(seed: int) -> None:
    number = seeds.integer(seed, "optimizer")
    assert type(number) is int
    assert 0 <= number < 2**31


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()
    seeds.generator(0, "part").random(100)
    assert np.random.get_state()[1].tolist() == before
