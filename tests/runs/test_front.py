"""The front as numbers, against areas and distances worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.runs.front import front_of, hypervolume, point_in_words, reference_point, shape_of, shapes
from evomerge.runs.results import Results

number = st.floats(0, 1)
sets = st.lists(st.tuples(number, number), min_size=1, max_size=10)


def test_the_volume_of_a_staircase() -> None:
    # by columns from the left: .1 wide and .1 high, .5 wide and .6 high, .4 wide and .9 high
    losses = [(0.1, 0.4), (0.6, 0.1), (0.0, 0.9), (0.3, 0.4)]
    assert hypervolume([(0.1, 0.4), (0.5, 0.1)], (1, 1)) == pytest.approx(0.4 * 0.6 + 0.5 * 0.9)
    assert hypervolume(losses, (1, 1)) == pytest.approx(0.1 * 0.1 + 0.5 * 0.6 + 0.4 * 0.9)
    assert hypervolume([(1.5, 0.1)], (1, 1)) == 0, "what does not dominate the point adds nothing"


@given(sets)
def test_shapes_are_those_of_every_beginning(losses: list[tuple[float, float]]) -> None:
    found = shapes(losses, (1.0, 1.0))
    assert found == [shape_of(losses[: end + 1], (1.0, 1.0)) for end in range(len(losses))]
    volumes = [shape.volume for shape in found]
    assert volumes == sorted(volumes)


@given(st.lists(st.none() | st.tuples(number, number), min_size=1, max_size=10))
def test_those_that_do_not_count_change_no_shape(losses: list[tuple[float, float] | None]) -> None:
    counted = [[one for one in losses[: end + 1] if one is not None] for end in range(len(losses))]
    assert shapes(losses, (1.0, 1.0)) == [shape_of(some, (1.0, 1.0)) for some in counted]


@given(sets)
def test_a_front_is_beaten_by_nobody_and_beats_the_rest(losses: list[tuple[float, float]]) -> None:
    front = front_of(losses)
    for one in losses:
        beaten = any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in losses)
        assert (one in front) == (not beaten)
    assert len(set(front)) == len(front)


def test_extent_and_spacing() -> None:
    shape = shape_of([(0.0, 0.8), (0.1, 0.5), (0.4, 0.4), (0.6, 0.0), (0.9, 0.9)], (1, 1))
    assert shape.size == 4
    assert shape.extent == pytest.approx(1.0)  # of a box of .6 and .8
    # |differences| to the nearest: .1 + .3, .3 + .1, .3 + .1, .2 + .4
    assert shape.spacing == pytest.approx(np.std([0.4, 0.4, 0.4, 0.6], ddof=1))
    even = shape_of([(0.0, 0.4), (0.2, 0.2), (0.4, 0.0)], (1, 1))
    assert even.spacing == pytest.approx(0)
    assert shape_of([(0.0, 0.4), (0.2, 0.2)], (1, 1)).spacing is None
    assert shape_of([(0.3, 0.4)], (1, 1)).extent == 0


def test_the_corner_is_a_score_of_nothing(make_results: Callable[..., Results]) -> None:
    results = make_results({"candidate 0": {"a": [1, 0], "b": [0, 0]}})
    assert reference_point(results) == (1.0, 1.0)
    assert point_in_words(results, (1.0, 1.0)).startswith("a 0, b 0: loss 1 on every objective")


def test_broken_merges_do_not_move_the_corner_and_references_do(make_results: Callable[..., Results]) -> None:
    candidates = [{"a": [1, 0], "b": [5e6, 5e6]}, {"a": [1, 1], "b": [2.0, 3.0]}]
    finalists, references = {"candidate 1": candidates[1]}, {"math": {"a": [1, 0], "b": [3.0, 5.0]}}
    results = make_results(finalists, references, candidates=candidates, lower_is_better=["b"])
    assert reference_point(results) == (1.0, 4.0)
    assert point_in_words(results, (1.0, 4.0)) == "a 0, b 4: loss 1, or the worst of the references where that is larger"
    before = make_results({}, candidates=candidates, lower_is_better=["b"])
    assert reference_point(before) == (1.0, 5e6)
