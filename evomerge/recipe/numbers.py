"""The kinds of numbers that recipes hold, each with the sentence that explains its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import pydantic

from evomerge.documents import fault, shown


def _density(value: float) -> float:
    if value > 1:
        raise fault(f"{value:g} is above 1. A density lies in (0, 1].")
    if value <= 0:
        raise fault(f"{value:g} is not above 0. A density lies in (0, 1]; to leave an expert out, give it weight 0.")
    return value


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise fault(f"{value:g} is {'above 1' if value > 1 else 'below 0'}. An interpolation point lies in [0, 1].")
    return value


def _densities(value: object) -> object:
    """Let a list through as a tuple, so that one density may serve all experts or each may have its own."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_density(_number(part)) for part in value)
    return _density(_number(value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(f"{shown(value)} is not a number.")
    return float(value)


Density: TypeAlias = Annotated[float, pydantic.AfterValidator(_density)]
Fraction: TypeAlias = Annotated[float, pydantic.AfterValidator(_fraction)]
Densities: TypeAlias = Annotated[float | tuple[float, ...], pydantic.PlainValidator(_densities)]
"""Kept fraction of entries: one number for all experts, or one per expert."""
