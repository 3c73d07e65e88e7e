"""Adam on the weights, held within their bounds after every step."""

from __future__ import annotations

import numpy as np

from evomerge.refinement.coefficients import Coefficients, Numbers


class BoundedAdam:
    """Adam (arXiv:1412.6980, algorithm 1) with β = (0.9, 0.999) and ε = 1e-8, in float64."""

    def __init__(self, coefficients: Coefficients, norms_RE: Numbers, rate: float) -> None:
        self._bounds, self._rate = (coefficients.low_RE, coefficients.high_RE), rate
        self._first_RE, self._second_RE = np.zeros_like(norms_RE), np.zeros_like(norms_RE)

    def step(self, number: int, weights_RE: Numbers, gradient_RE: Numbers) -> Numbers:
        """The next weights."""
        self._first_RE = 0.9 * self._first_RE + 0.1 * gradient_RE
        self._second_RE = 0.999 * self._second_RE + 0.001 * gradient_RE**2
        first_RE, second_RE = self._first_RE / (1 - 0.9 ** (number + 1)), self._second_RE / (1 - 0.999 ** (number + 1))
        moved_RE: Numbers = weights_RE - self._rate * first_RE / (np.sqrt(second_RE) + 1e-8)
        return np.clip(moved_RE, *self._bounds)
