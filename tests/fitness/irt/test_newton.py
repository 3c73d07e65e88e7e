import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from evomerge.fitness.irt.newton import mode


@settings(max_examples=50)
@given(st.integers(0, 1), st.floats(-12, 12), st.floats(0.5, 4), st.floats(0.2, 4))
def test_it_finds_the_mode_of_a_far_away_logistic_posterior(
    answer: int, offset: float, slope: float, sd: float
) -> None:
    def density(point: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        logits = offset + slope * np.full(30, point[0])
        right = expit(logits)
        height = answer * logits.sum() - np.logaddexp(0, logits).sum() - (point[0] / sd) ** 2 / 2
        gradient = slope * (answer - right).sum() - point[0] / sd**2
        return float(height), np.array([gradient]), np.array([[slope**2 * (right * (1 - right)).sum() + sd**-2]])

    point, curvature = mode(density, np.zeros(1))
    assert density(point)[1] == pytest.approx(np.zeros(1), abs=1e-4)
    assert (curvature == density(point)[2]).all()
