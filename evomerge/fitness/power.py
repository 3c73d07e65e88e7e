"""Power: how small a difference between candidates some items can tell, and how much the best of many flatters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from evomerge.fitness.irt.model import Floats

POWER: Final = 0.8
"""How often a difference is to be told, where it is there."""

LEVEL: Final = 0.05
"""How often one is seen where there is none, of a two-sided test."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How much scores on one task vary from item to item, in variances of a single item.

    Attributes:
        own: Of a candidate's score, mean over the candidates.
        difference: Of the difference of two candidates' scores on the same item, mean over all pairs. For right and
            wrong answers it is their share of disagreement, less the square of the difference of their means.
    """

    own: float
    difference: float

    @classmethod
    def of(cls, scores_CI: Floats) -> Spread:
        """The spread that some candidates show, estimated without bias.

        Args:
            scores_CI: Of C ≥ 2 candidates on the same I ≥ 2 items, shape (C, I).
        """
        covariance_CC = np.cov(scores_CI)
        num_candidates, own = len(covariance_CC), float(np.trace(covariance_CC)) / len(covariance_CC)
        shared = (float(covariance_CC.sum()) - np.trace(covariance_CC)) / (num_candidates * (num_candidates - 1))
        return cls(own, max(0.0, 2 * (own - float(shared))))

    @property
    def unshared(self) -> float:
        """The part of a candidate's variance that common items do not take out of comparisons."""
        return self.difference / 2


def smallest_difference(stderr: float) -> float:
    """The smallest true difference that a test of 5 % (two-sided) sees with a power of 80 %: 2.80 standard errors.

    Args:
        stderr: Of the difference of the two scores.
    """
    return float(norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * stderr


def expected_maximum(number: int) -> float:
    """Expected largest of so many draws from N(0, 1): ∫ Φ⁻¹(u^(1/number)) du over (0, 1)."""
    return 0.0 if number == 1 else float(quad(lambda u: norm.ppf(u ** (1 / number)), 0, 1, limit=200)[0])


@dataclass(frozen=True, slots=True)
class Choice:
    """What taking the candidate with the best score among K brings.

    Attributes:
        gain: Its expected true score, above the mean of all candidates.
        optimism: How much better than its true score its score is expected to be: the winner's curse.
    """

    gain: float
    optimism: float


def best_of(number: int, true_sd: float, noise_sd: float) -> Choice:
    """Expectations for K candidates whose true scores and whose errors are normal and independent.

    With τ and σ their standard deviations and m the expected maximum of K standard normals, the best score lies
    m √(τ² + σ²) above the mean, of which τ² / (τ² + σ²) is true and the rest error: regression to the mean.

    Args:
        number: K.
        true_sd: τ.
        noise_sd: σ; without the part that all candidates share, which favours none.
    """
    total = math.hypot(true_sd, noise_sd)
    height = expected_maximum(number) / total if total else 0.0
    return Choice(height * true_sd**2, height * noise_sd**2)


def true_sd(values_C: Floats, noise_variance: float) -> float:
    """Standard deviation of true scores among candidates, from their observed scores; 0 where noise explains all.

    Args:
        values_C: Observed scores of C ≥ 2 candidates.
        noise_variance: Of one of them, without the part that all share.
    """
    return math.sqrt(max(0.0, float(np.var(values_C, ddof=1)) - noise_variance))
