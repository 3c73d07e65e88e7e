"""Item response models: how likely a model of some ability is to answer each item right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats: TypeAlias = npt.NDArray[np.float64]
Items: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ItemParameters:
    """Parameters of N items: P(right | θ) = c + (1 - c) σ(a·θ - b), with abilities θ of D dimensions, N(0, 1) each.

    One to three parameters per item in one dimension (1PL, 2PL, 3PL), or the multidimensional 2PL of tinyBenchmarks
    (2402.14992, eq. 1).

    Attributes:
        discriminations_ND: a, float64, shape (N, D).
        difficulties_N: b, in logits, float64, shape (N,).
        guesses_N: c, chance of a right guess, float64 in [0, 1), shape (N,).
    """

    discriminations_ND: Floats
    difficulties_N: Floats
    guesses_N: Floats

    @property
    def num_dimensions(self) -> int:
        """D."""
        return int(self.discriminations_ND.shape[1])

    def logits(self, abilities_MD: Floats) -> Floats:
        """a·θ - b of M abilities, shape (M, N)."""
        logits_MN: Floats = abilities_MD @ self.discriminations_ND.T - self.difficulties_N
        return logits_MN

    def probabilities(self, abilities_MD: Floats) -> Floats:
        """P(right | θ) of M abilities, shape (M, N), strictly between 0 and 1."""
        skilled_MN: Floats = expit(np.clip(self.logits(abilities_MD), -30, 30))
        right_MN: Floats = self.guesses_N + (1 - self.guesses_N) * skilled_MN
        return right_MN

    def slopes(self, right_N: Floats) -> Floats:
        """∂P/∂θ where P(right | θ) is `right_N`, shape (N, D)."""
        rise_N = (right_N - self.guesses_N) * (1 - right_N) / (1 - self.guesses_N)
        return self.discriminations_ND * rise_N[:, None]

    def take(self, items_I: Items) -> ItemParameters:
        """The parameters of some items, in that order."""
        return ItemParameters(self.discriminations_ND[items_I], self.difficulties_N[items_I], self.guesses_N[items_I])


def information(parameters: ItemParameters, right_N: Floats) -> Floats:
    """Fisher information that each item has about an ability: (∂P/∂θ)(∂P/∂θ)ᵀ / P(1 - P).

    In one dimension this is a²p(1 - p) for the 2PL and a² (q/p) ((p - c) / (1 - c))² for the 3PL (Lord, 1980, ch. 5).

    Args:
        parameters: Of N items.
        right_N: P(right | θ) at the ability.

    Returns:
        Shape (N, D, D).
    """
    slopes_ND = parameters.slopes(right_N)
    information_NDD: Floats = slopes_ND[:, :, None] * slopes_ND[:, None] / (right_N * (1 - right_N))[:, None, None]
    return information_NDD


def inverse(precision_EE: Floats) -> Floats:
    """The covariance that belongs to a precision."""
    covariance_EE: Floats = np.linalg.inv(precision_EE).astype(np.float64)
    return covariance_EE
