import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.fitness.irt.model import ItemParameters, information

logits = st.floats(-4, 4)
slopes = st.floats(0.05, 3)
guesses = st.floats(0, 0.6)


def one_item(a: float, b: float, c: float) -> ItemParameters:
    return ItemParameters(np.array([[a]]), np.array([b]), np.array([c]))


def right(a: float, b: float, c: float, ability: float) -> float:
    return c + (1 - c) / (1 + math.exp(-(a * ability - b)))


@given(slopes, logits, guesses, logits)
def test_the_three_parameter_model(a: float, b: float, c: float, ability: float) -> None:
    (found,) = one_item(a, b, c).probabilities(np.array([[ability]]))[0]
    assert found == pytest.approx(right(a, b, c, ability), rel=1e-9)
    assert c <= found < 1


@given(slopes, logits, guesses, logits, st.floats(0.01, 2))
def test_more_ability_never_makes_an_item_harder(a: float, b: float, c: float, ability: float, more: float) -> None:
    low, high = one_item(a, b, c).probabilities(np.array([[ability], [ability + more]]))[:, 0]
    assert low < high


@given(slopes, logits, guesses, logits)
def test_slopes_and_information_are_those_of_the_books(a: float, b: float, c: float, ability: float) -> None:
    parameters, p = one_item(a, b, c), right(a, b, c, ability)
    step = 1e-6
    slope = (right(a, b, c, ability + step) - right(a, b, c, ability - step)) / (2 * step)
    assert parameters.slopes(np.array([p]))[0, 0] == pytest.approx(slope, rel=1e-4, abs=1e-8)
    wanted = a**2 * ((1 - p) / p) * ((p - c) / (1 - c)) ** 2
    assert information(parameters, np.array([p]))[0, 0, 0] == pytest.approx(wanted, rel=1e-6)


def test_several_dimensions_share_one_difficulty() -> None:
    parameters = ItemParameters(np.array([[1.0, 2.0]]), np.array([0.5]), np.zeros(1))
    ability = np.array([[0.3, -0.2]])
    p = 1 / (1 + math.exp(-(0.3 - 0.4 - 0.5)))
    assert parameters.probabilities(ability)[0, 0] == pytest.approx(p)
    assert information(parameters, np.array([p]))[0] == pytest.approx(p * (1 - p) * np.array([[1, 2], [2, 4]]))
