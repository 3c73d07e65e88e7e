"""Digits: how many of a number's count in a recipe."""

from __future__ import annotations

SIGNIFICANT_DIGITS = 9
"""Numbers are rounded to so many digits before merging, so that equal digests mean equal tensors."""


def significant(value: float) -> float:
    """The number as it is merged, with `SIGNIFICANT_DIGITS` digits and one zero."""
    # "+ 0.0" turns -0.0 into 0.0, which would print differently
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0
