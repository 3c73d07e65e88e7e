import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.optimizers.quadratic import Link, Quadratic

LINKS = {
    "sigmoid": lambda psi: 1 / (1 + np.exp(-psi)),
    "softplus": lambda psi: np.log(1 + np.exp(psi)),
    "none": lambda psi: psi,
}


def psi(points_N3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Some quadratic of three coordinates."""
    a, b, c = points_N3.T
    return -1 + 2 * a - b + 3 * (a - 0.4) ** 2 - 2 * a * c + b * b


@pytest.mark.parametrize("link", LINKS)
def test_a_quadratic_behind_the_link_is_found_again(link: Link) -> None:
    rng = np.random.default_rng(0)
    points_N3 = rng.random((40, 3))
    values_N = LINKS[link](psi(points_N3))
    fitted = Quadratic(points_N3, values_N, np.zeros(40), link, reach=100.0)
    fresh_P3 = rng.random((50, 3))
    # Softplus acts on losses as shares of the largest, so that the shape of its bend is not quite the same.
    tolerance = 0.15 if link == "softplus" else 0.02
    assert fitted.predict(fresh_P3) == pytest.approx(LINKS[link](psi(fresh_P3)), abs=tolerance)


def test_noisy_values_count_less() -> None:
    rng = np.random.default_rng(0)
    points_N1 = rng.random((60, 1))
    values_N = 0.5 + 0.3 * (points_N1[:, 0] - 0.5)
    is_off_N = rng.random(60) < 0.4
    wrong_N = np.where(is_off_N, 0.95, values_N)
    told = Quadratic(points_N1, wrong_N, np.where(is_off_N, 1.0, 0.01), "sigmoid", 1.0)
    untold = Quadratic(points_N1, wrong_N, np.zeros(60), "sigmoid", 1.0)
    assert told.predict(points_N1) == pytest.approx(values_N, abs=0.02)
    assert np.abs(untold.predict(points_N1) - values_N).mean() > 0.1


def test_fewer_points_than_coefficients_will_do() -> None:
    points_N8 = np.random.default_rng(0).random((10, 8))  # 45 coefficients
    fitted = Quadratic(points_N8, points_N8[:, 0], np.zeros(10), "sigmoid", 1.0)
    assert np.isfinite(fitted.predict(points_N8)).all()
    assert fitted.predict(points_N8) == pytest.approx(points_N8[:, 0], abs=0.1)


def test_predictions_of_a_sigmoid_stay_in_its_range() -> None:
    points_N1 = np.linspace(0, 1, 20)[:, None]
    accuracies = Quadratic(points_N1, points_N1[:, 0] > 0.5, np.zeros(20), "sigmoid", 100.0).predict(points_N1)
    assert ((accuracies >= 0) & (accuracies <= 1)).all()
    losses = Quadratic(points_N1, 5 + 10 * points_N1[:, 0], np.zeros(20), "sigmoid", 1.0).predict(points_N1)
    assert ((losses >= 5) & (losses <= 15)).all()
