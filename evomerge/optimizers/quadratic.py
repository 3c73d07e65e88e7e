"""A quadratic surrogate of one loss over the unit box, behind a link that keeps predictions in its range."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

Link: TypeAlias = Literal["sigmoid", "softplus", "none"]

LEAST_ERROR = 0.01
"""How near a surrogate is asked to come to exact losses, as a share of their range."""


class Quadratic:
    """The surrogate of MAP: m(c) ≈ σ(ψ(c)) with ψ(c) = e + bᵀc + cᵀAc / 2 (arXiv 2406.07529, section 3).

    σ is the sigmoid for what lies in [0, 1], as accuracies do, softplus for losses without an upper end, or nothing.
    Coefficients are fitted by least squares, in standard errors, with a normal prior of deviation `reach` around 0, so
    that a design smaller than the paper's determines them too.
    """

    def __init__(
        self,
        points_ND: NDArray[np.float64],
        values_N: NDArray[np.float64],
        errors_N: NDArray[np.float64],
        link: Link,
        reach: float,
    ) -> None:
        """Fit it.

        Args:
            points_ND: Points of the unit box.
            values_N: What was observed there.
            errors_N: Standard errors, 0 where they are not known.
            link: What stands for σ.
            reach: Standard deviation of the coefficients that is thought likely, on the scale of ψ.
        """
        self._link = link
        self._low, self._range = _range(values_N, link)
        features_NK = _features(points_ND)
        scaled_N = (values_N - self._low) / self._range
        weights_N = 1 / np.hypot(LEAST_ERROR, errors_N / self._range)
        cost_K = np.full(features_NK.shape[1], 1 / reach)
        cost_K[0] = 1e-6  # the constant costs nothing, but must be determined where sigmoids are flat

        def residuals(coefficients_K: NDArray[np.float64]) -> NDArray[np.float64]:
            misses_N = weights_N * (self._linked(features_NK @ coefficients_K) - scaled_N)
            return np.concatenate([misses_N, cost_K * coefficients_K])

        def slopes(coefficients_K: NDArray[np.float64]) -> NDArray[np.float64]:
            slope_N = weights_N * self._slope(features_NK @ coefficients_K)
            return np.concatenate([slope_N[:, None] * features_NK, np.diag(cost_K)])

        self._coefficients_K = least_squares(residuals, np.zeros(len(cost_K)), slopes, method="lm").x

    def predict(self, points_PD: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss that is expected at points of the box, (P,)."""
        return self._low + self._range * self._linked(_features(points_PD) @ self._coefficients_K)

    def _linked(self, psi_N: NDArray[np.float64]) -> NDArray[np.float64]:
        match self._link:
            case "sigmoid":
                return np.asarray(expit(psi_N))
            case "softplus":
                return np.logaddexp(0.0, psi_N)
            case "none":
                return psi_N

    def _slope(self, psi_N: NDArray[np.float64]) -> NDArray[np.float64]:
        match self._link:
            case "sigmoid":
                return np.asarray(expit(psi_N) * expit(-psi_N))
            case "softplus":
                return np.asarray(expit(psi_N))
            case "none":
                return np.ones_like(psi_N)


def _features(points_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, every coordinate, and every product of two, with coordinates moved to [-1, 1]: (N, (D + 1)(D + 2) / 2)."""
    moved_ND = 2 * points_ND - 1
    rows, columns = np.triu_indices(points_ND.shape[1])
    return np.concatenate([np.ones((len(points_ND), 1)), moved_ND, moved_ND[:, rows] * moved_ND[:, columns]], axis=1)


def _range(values_N: NDArray[np.float64], link: Link) -> tuple[float, float]:
    """Lowest value and range of what a link stands for: [0, 1] where the sigmoid can mean just that, else as seen."""
    low, high = float(values_N.min()), float(values_N.max())
    if link == "sigmoid" and low >= 0 and high <= 1:
        return 0.0, 1.0
    if link == "softplus" and low >= 0:
        low = 0.0
    return low, (high - low) or 1.0
