"""A Gaussian process over the unit box, for losses whose noise may be known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

STEPS = 30
"""Steps of the search for kernel parameters: what further ones change is less than what the next candidates will."""


class GaussianProcess:
    """`sklearn`'s Gaussian process with a Matérn 5/2 kernel, one length per coordinate, and noise.

    Its parameters maximise the likelihood (Rasmussen and Williams 2006, "Gaussian processes for machine learning",
    algorithm 2.1 and section 5.4.1), from the same start every time, so that a fit depends on its data alone.
    """

    def __init__(self, points_ND: NDArray[np.float64], values_N: NDArray[np.float64], errors_N: NDArray[np.float64]):
        """Fit it.

        Args:
            points_ND: Points of the unit box.
            values_N: What was observed there.
            errors_N: Standard error of each observation, 0 where it is not known; the noise that all have in common
                is learnt beside it.
        """
        self._centre = float(values_N.mean())
        self._scale = float(values_N.std()) or 1.0
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(points_ND.shape[1], 0.5), (0.05, 20.0), nu=2.5)
        self._process = GaussianProcessRegressor(
            kernel + WhiteKernel(1e-2, (1e-6, 1.0)), alpha=(errors_N / self._scale) ** 2 + 1e-8, optimizer=_climb
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # parameters at their bounds are expected
            self._process.fit(points_ND, (values_N - self._centre) / self._scale)

    def predict(self, points_PD: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the function itself, without the noise of an observation; both (P,)."""
        mean_P, deviation_P = self._process.predict(points_PD, return_std=True)
        noise = self._process.kernel_.k2.noise_level
        deviation_P = np.sqrt(np.maximum(deviation_P**2 - noise, 0.0))
        return self._centre + self._scale * mean_P, self._scale * deviation_P


def _climb(objective: Callable[..., Any], start: NDArray[np.float64], bounds: NDArray[np.float64]) -> tuple[Any, Any]:
    found = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x, found.fun
