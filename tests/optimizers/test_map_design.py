import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.optimizers.map_design import by_directions, latin_hypercube


def angle(points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the first axis, in degrees."""
    return np.degrees(np.arctan2(points_N2[:, 1], points_N2[:, 0]))


def test_every_bin_of_every_coordinate_has_one_point() -> None:
    points_93 = latin_hypercube(9, 3, np.random.default_rng(0))
    assert all(sorted(bins_9) == list(range(9)) for bins_9 in np.floor(9 * points_93).T)


def test_points_are_drawn_where_surrogates_miss() -> None:
    rng = np.random.default_rng(0)
    known_N2 = rng.random((60, 2))
    is_missed_N = (angle(known_N2) > 45) & (angle(known_N2) <= 67.5)  # the third of four bins
    drawn_S2 = by_directions(known_N2, np.where(is_missed_N, 1.0, 0.0), 50, 0.05, rng)
    assert ((angle(drawn_S2) > 45) & (angle(drawn_S2) <= 67.5)).all()


def test_a_high_temperature_draws_all_held_bins_alike() -> None:
    rng = np.random.default_rng(0)
    known_N2 = np.array([[1.0, 0.1], [0.1, 1.0], [0.2, 0.9]])  # the first bin and the last
    drawn_S2 = by_directions(known_N2, np.array([1.0, 0.0, 0.0]), 1000, 1000.0, rng)
    is_first_S = angle(drawn_S2) < 22.5
    assert (is_first_S | (angle(drawn_S2) >= 67.5)).all()
    assert is_first_S.mean() == pytest.approx(0.5, abs=0.05)


def test_of_two_bins_with_one_mean_the_less_certain_one_is_drawn_more_often() -> None:
    known_N2 = np.array([[1.0, 0.1]] * 10 + [[0.1, 1.0]] * 10)
    misses_N = np.array([0.5] * 10 + [0.0, 1.0] * 5)
    drawn_S2 = by_directions(known_N2, misses_N, 500, 0.02, np.random.default_rng(0))
    assert (angle(drawn_S2) > 45).mean() > 0.6


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 9])
def test_points_lie_in_the_box_and_off_its_corner(dimension: int) -> None:
    rng = np.random.default_rng(0)
    drawn_SD = by_directions(rng.random((20, dimension)), rng.random(20), 200, 0.07, rng)
    assert drawn_SD.shape == (200, dimension)
    assert (drawn_SD >= 0).all()
    largest_S = drawn_SD.max(axis=1)
    assert (largest_S >= 0.2).all()
    assert (largest_S <= 1).all()
    assert largest_S.min() < 0.25
    assert largest_S.max() > 0.95


def test_three_angles_turn_into_the_direction_that_they_were_taken_from() -> None:
    """One point in one orthant bin of four dimensions: what is drawn lies in the same bin."""
    known_14 = np.array([[0.1, 0.2, 0.8, 0.3]])
    drawn_S4 = by_directions(known_14, np.ones(1), 300, 1.0, np.random.default_rng(0))
    beyond_S3 = np.sqrt(np.cumsum(drawn_S4[:, ::-1] ** 2, axis=1))[:, ::-1][:, 1:]
    halves_S3 = np.arctan2(beyond_S3, drawn_S4[:, :-1]) > np.pi / 4
    assert (halves_S3 == [True, True, False]).all()


def test_corners_and_edges_of_the_box_have_a_direction_too() -> None:
    known_43 = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    drawn_S3 = by_directions(known_43, np.zeros(4), 100, 0.07, np.random.default_rng(0))
    assert np.isfinite(drawn_S3).all()
