import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV
from scipy.stats import norm

from evomerge.optimizers.improvement import MARGIN, most_promising, room_beyond, undominated

LOSSES = np.array([[0.1, 0.8], [0.4, 0.4], [0.8, 0.2], [0.9, 0.9]])


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=20))
def test_what_no_row_beats_is_undominated(rows: list[tuple[int, ...]]) -> None:
    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    expected = [not any(beats(other, one) for other in rows) for one in rows]
    assert undominated(np.array(rows, dtype=float)).tolist() == expected


def test_the_room_lies_between_ideal_and_reference_and_is_dominated_by_nobody() -> None:
    room_Q2 = room_beyond(LOSSES, np.zeros(2), np.random.default_rng(0))
    reference_2 = np.array([0.8, 0.8]) + MARGIN * np.array([0.8, 0.7])
    assert (room_Q2 >= 0).all()
    assert (room_Q2 <= reference_2).all()
    assert not (LOSSES[:, None] <= room_Q2[None]).all(axis=2).any()
    # Its share of the box is what the front leaves of the box's volume.
    left = 1 - HV(ref_point=reference_2)(LOSSES) / reference_2.prod()
    assert len(room_Q2) / 2048 == pytest.approx(left, abs=0.03)


def test_without_doubt_the_gain_in_hypervolume_decides() -> None:
    room_Q2 = room_beyond(LOSSES, np.zeros(2), np.random.default_rng(0))
    mean_P2 = np.array([[0.5, 0.5], [0.39, 0.39], [0.2, 0.3], [0.05, 0.85], [0.22, 0.29]])
    volume = HV(ref_point=room_Q2.max(axis=0))
    wanted, known = [], LOSSES
    for _ in range(3):
        gains = [volume(np.vstack([known, mean_2])) for mean_2 in mean_P2]
        wanted.append(int(np.argmax(gains)))
        known = np.vstack([known, mean_P2[wanted[-1]]])
    assert most_promising(mean_P2, np.zeros((5, 2)), np.ones(5), room_Q2, 3) == wanted


def test_of_one_objective_it_is_the_expected_improvement() -> None:
    rng = np.random.default_rng(1)
    mean_P1, deviation_P1 = rng.normal(size=(30, 1)), rng.uniform(0.05, 1.0, size=(30, 1))
    best = 0.0
    room_Q1 = rng.uniform(-8.0, best, size=(50_000, 1))
    z_P1 = (best - mean_P1) / deviation_P1
    improvement_P = ((best - mean_P1) * norm.cdf(z_P1) + deviation_P1 * norm.pdf(z_P1))[:, 0]  # Jones et al. 1998
    (first,) = most_promising(mean_P1, deviation_P1, np.ones(30), room_Q1, 1)
    assert improvement_P[first] > 0.98 * improvement_P.max()


def test_what_breaks_constraints_promises_nothing() -> None:
    room_Q1 = np.linspace(-1, 0, 100)[:, None]
    chance_3 = np.array([0.0, 0.5, 0.9])
    assert most_promising(np.array([[-0.9], [-0.5], [-0.5]]), np.zeros((3, 1)), chance_3, room_Q1, 2) == [2, 1]


def test_as_many_are_taken_as_there_are() -> None:
    assert sorted(most_promising(np.ones((3, 2)), np.ones((3, 2)), np.ones(3), np.empty((0, 2)), 5)) == [0, 1, 2]
