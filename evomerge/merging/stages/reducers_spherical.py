"""Reducers that keep to the sphere: directions are brought together apart from lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from evomerge.merging.norms import inner_products
from evomerge.merging.site import Site
from evomerge.merging.stages.reducers import said, weighed, weighted_sum
from evomerge.merging.stages.signatures import Factor, Kind, Masks, Reducer
from evomerge.recipe.sphere import STRAIGHT, sphere_weights
from evomerge.recipe.stages import Karcher, Sphere


def spherical(
    reduce: Sphere, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """Interpolation along the sphere between two weighed experts."""
    first, second = weighed(deltas, masks, weights)
    if reduce.scope == "tensor" or first.ndim < 2:
        return sphere(first, second, reduce.t, reduce.straight_from)
    return sphere_along(first, second, reduce)


def sphere(first: torch.Tensor, second: torch.Tensor, t: float, straight_from: float = 1.0) -> torch.Tensor:
    """Spherical interpolation of whole tensors (SLERP, Shoemake 1985, doi:10.1145/325165.325242).

    Directions that are parallel, opposite or undefined are interpolated linearly.
    """
    gram_EE = inner_products([first, second])
    products = float(gram_EE[0, 0]), float(gram_EE[1, 1]), float(gram_EE[0, 1])
    return weighted_sum((first, second), sphere_weights(*products, t, straight_from))


def sphere_along(first: torch.Tensor, second: torch.Tensor, reduce: Sphere) -> torch.Tensor:
    """Spherical interpolation of every row or column (NuSLERP of mergekit)."""
    axis = -1 if reduce.scope == "row" else 0
    one, other = first.double(), second.double()
    norms = (one.square().sum(axis, keepdim=True) * other.square().sum(axis, keepdim=True)).sqrt()
    cosine = torch.where(norms > 0, (one * other).sum(axis, keepdim=True) / norms, 1.0).clamp(-1, 1)
    angle = cosine.acos()
    sine = angle.sin()
    straight = (sine < STRAIGHT) | (cosine.abs() > reduce.straight_from)
    sine = torch.where(straight, 1.0, sine)
    shares = (
        torch.where(straight, share, (share * angle).sin() / sine).to(torch.float32)
        for share in (1.0 - reduce.t, reduce.t)
    )
    return weighted_sum((first, second), tuple(shares))


def karcher(
    reduce: Karcher, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """The mean direction of all experts, times their mean length."""
    spoken = said(deltas, masks)
    numbers = [weight for weight in weights if not isinstance(weight, torch.Tensor)]
    if len(numbers) < len(weights):  # factors of single entries turn the directions themselves
        spoken = weighed(deltas, masks, weights)
        numbers = [1.0] * len(spoken)
    return weighted_sum(spoken, karcher_factors(inner_products(spoken), numbers, reduce.iterations, reduce.tolerance))


def karcher_factors(
    gram_EE: npt.NDArray[np.float64], weights: Sequence[float], iterations: int, tolerance: float
) -> list[float]:
    """What each expert is multiplied with: all points on the way are sums of experts, so that products suffice.

    Args:
        gram_EE: Inner products of the experts.
        weights: One per expert.
        iterations: Steps after the mean of the unit vectors.
        tolerance: The length of a step that is not worth taking, in radians.
    """
    weights_E = np.asarray(weights, dtype=np.float64)
    norms_E = np.sqrt(np.diag(gram_EE))
    units_E = np.divide(np.sign(weights_E), norms_E, out=np.zeros_like(norms_E), where=norms_E > 0)
    cosines_EE = gram_EE * np.outer(units_E, units_E)
    shares_E = np.abs(weights_E) * (norms_E > 0)
    shares_E = shares_E / (shares_E.sum() or 1.0)
    length = _length(shares_E, cosines_EE)
    if length < 1e-8:
        return list(weights)
    mean_E = shares_E / length
    for _ in range(iterations):
        step_E = _step(mean_E, shares_E, cosines_EE)
        length = _length(step_E, cosines_EE)
        if length <= tolerance:
            break
        mean_E = math.cos(length) * mean_E + math.sin(length) / length * step_E
        mean_E = mean_E / _length(mean_E, cosines_EE)
    factors_E = float(np.abs(weights_E) @ norms_E) * mean_E * units_E
    return [float(factor) for factor in factors_E]


def _step(
    mean_E: npt.NDArray[np.float64], shares_E: npt.NDArray[np.float64], cosines_EE: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The weighted mean of the experts as seen from the mean's tangent space (logarithmic map)."""
    dots_E = np.clip(cosines_EE @ mean_E, -1, 1)
    angles_E = np.arccos(dots_E)
    sines_E = np.sin(angles_E)
    # an expert that is opposite lies in no direction, one that is there already needs no step: 1 cancels below
    pulls_E = shares_E * np.divide(angles_E, sines_E, out=np.ones_like(sines_E), where=sines_E > 2e-6)
    return np.asarray(pulls_E - (pulls_E @ dots_E) * mean_E)


def _length(point_E: npt.NDArray[np.float64], cosines_EE: npt.NDArray[np.float64]) -> float:
    return math.sqrt(max(0.0, float(point_E @ cosines_EE @ point_E)))


REDUCERS: dict[Kind, Reducer] = {Sphere: spherical, Karcher: karcher}
