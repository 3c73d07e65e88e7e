"""The sphere: what spherical interpolation makes of two vectors, from their inner products alone."""

from __future__ import annotations

import math

STRAIGHT = 1e-4
"""Sines below this: the spherical formula loses its digits, and the linear one differs by less than 1e-8."""


def sphere_weights(
    square_first: float, square_second: float, dot: float, t: float, straight_from: float = 1.0
) -> tuple[float, float]:
    """The two factors of SLERP (Shoemake 1985, doi:10.1145/325165.325242), from squared norms and inner product alone.

    Directions that are parallel, opposite or undefined are interpolated linearly.
    """
    norms = math.sqrt(square_first * square_second)
    cosine = min(max(dot / norms, -1.0), 1.0) if norms > 0 else 1.0
    angle = math.acos(cosine)
    sine = math.sin(angle)
    if sine < STRAIGHT or abs(cosine) > straight_from:
        return 1.0 - t, t
    return math.sin((1.0 - t) * angle) / sine, math.sin(t * angle) / sine
