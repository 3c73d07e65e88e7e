"""The kinds of numbers that recipes hold, each with the sentence that explains its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import pydantic

from evomerge.documents import Tree, fault


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


Density: TypeAlias = Annotated[float, pydantic.AfterValidator(_density)]
Fraction: TypeAlias = Annotated[float, pydantic.AfterValidator(_fraction)]

_FINITE = pydantic.ConfigDict(allow_inf_nan=False)
_ONE: pydantic.TypeAdapter[float] = pydantic.TypeAdapter(Density, config=_FINITE)
_EACH: pydantic.TypeAdapter[tuple[float, ...]] = pydantic.TypeAdapter(tuple[Density, ...], config=_FINITE)


def _densities(value: object) -> float | tuple[float, ...]:
    """One number or a list of them; a plain union would report the faults of both."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return _EACH.validate_python(value) if is_list else _ONE.validate_python(value)


def _as_written(density: float | tuple[float, ...]) -> Tree:
    return list(density) if isinstance(density, tuple) else density


Densities: TypeAlias = Annotated[
    float | tuple[float, ...], pydantic.PlainValidator(_densities), pydantic.PlainSerializer(_as_written)
]
"""Kept fraction of entries: one number for all experts, or one per expert."""
