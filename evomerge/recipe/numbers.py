"""The kinds of numbers that recipes hold, each with the sentence that explains its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Tree, Value, fault

V = TypeVar("V", bound=Value)

LEVELS = 1 << 16
"""Random draws are whole numbers below this: probabilities are multiples of its inverse."""


def level_of(density: float) -> int:
    """The number that draws must lie below to be kept at a density, at least one of `LEVELS`."""
    return max(1, round(density * LEVELS))


def chance(density: float) -> float:
    """The probability that stands for a density: the nearest that draws can tell from others, never none."""
    return level_of(density) / LEVELS


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


def _share(value: float) -> float:
    if not 0 <= value < 1:
        raise fault(
            f"{value:g} is {'not below 1' if value >= 1 else 'below 0'}. A share of the entries lies in [0, 1)."
        )
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise fault(f"{value:g} is not above 0. Give a positive number.")
    return value


def _not_negative(value: float) -> float:
    if value < 0:
        raise fault(f"{value:g} is below 0. Give 0 or a positive number.")
    return value


def _portion(value: float) -> float:
    if not 0 < value <= 1:
        raise fault(f"{value:g} is {'above 1' if value > 1 else 'not above 0'}. A portion lies in (0, 1].")
    return value


def _strength(value: float) -> float:
    if not 0 <= value <= 1:
        raise fault(f"{value:g} is {'above 1' if value > 1 else 'below 0'}. A strength lies in [0, 1].")
    return value


# The descriptions are the ranges that `evomerge show operator` prints.
Density: TypeAlias = Annotated[float, pydantic.AfterValidator(_density), pydantic.Field(description="(0, 1]")]
Fraction: TypeAlias = Annotated[float, pydantic.AfterValidator(_fraction), pydantic.Field(description="[0, 1]")]
Portion: TypeAlias = Annotated[float, pydantic.AfterValidator(_portion), pydantic.Field(description="(0, 1]")]
Strength: TypeAlias = Annotated[float, pydantic.AfterValidator(_strength), pydantic.Field(description="[0, 1]")]
Share: TypeAlias = Annotated[float, pydantic.AfterValidator(_share), pydantic.Field(description="[0, 1)")]
Positive: TypeAlias = Annotated[float, pydantic.AfterValidator(_positive), pydantic.Field(description="above 0")]
NotNegative: TypeAlias = Annotated[
    float, pydantic.AfterValidator(_not_negative), pydantic.Field(description="0 or more")
]

_FINITE = pydantic.ConfigDict(allow_inf_nan=False)


class _OneOrEach:
    """One number or a list of them; a plain union would report the faults of both."""

    def __init__(self, kind: Any) -> None:
        self._one: pydantic.TypeAdapter[float] = pydantic.TypeAdapter(kind, config=_FINITE)
        self._each: pydantic.TypeAdapter[tuple[float, ...]] = pydantic.TypeAdapter(tuple[kind, ...], config=_FINITE)

    def __call__(self, value: object) -> float | tuple[float, ...]:
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return self._each.validate_python(value) if is_list else self._one.validate_python(value)


def _as_written(numbers: float | tuple[float, ...]) -> Tree:
    return list(numbers) if isinstance(numbers, tuple) else numbers


Densities: TypeAlias = Annotated[
    float | tuple[float, ...],
    pydantic.PlainValidator(_OneOrEach(Density)),
    pydantic.PlainSerializer(_as_written),
    pydantic.Field(description="(0, 1], one for all or one for each expert"),
]
"""Kept fraction of entries: one number for all experts, or one per expert."""

Shares: TypeAlias = Annotated[
    float | tuple[float, ...],
    pydantic.PlainValidator(_OneOrEach(Share)),
    pydantic.PlainSerializer(_as_written),
    pydantic.Field(description="[0, 1), one for all or one for each expert"),
]
"""Part of the entries, from none to just short of all: one number for all experts, or one per expert."""

Thresholds: TypeAlias = Annotated[
    float | tuple[float, ...],
    pydantic.PlainValidator(_OneOrEach(NotNegative)),
    pydantic.PlainSerializer(_as_written),
    pydantic.Field(description="0 or more, one for all or one for each expert"),
]
"""What a size must exceed: one number for all experts, or one per expert."""


LARGEST = 1e30
"""Beyond it no number of a recipe makes sense in float32, and products of several would leave float64."""


def refuse_huge(value: V) -> V:
    """A stage or preset as a person wrote it, unchanged.

    Raises:
        pydantic.ValidationError: If a number is beyond ±`LARGEST`.
    """
    numbers: list[tuple[tuple[str | int, ...], object]] = [
        ((name,), part) for name, part in value if not isinstance(part, tuple)
    ]
    numbers += [((name, i), entry) for name, part in value if isinstance(part, tuple) for i, entry in enumerate(part)]
    faults = [
        InitErrorDetails(
            type=fault(f"{number:g} is beyond ±{LARGEST:g}. Give a smaller number."), loc=place, input=number
        )
        for place, number in numbers
        if isinstance(number, int | float) and abs(number) > LARGEST
    ]
    if faults:
        raise pydantic.ValidationError.from_exception_data(type(value).__name__, faults)
    return value


def of_expert(numbers: float | tuple[float, ...], expert: int) -> float:
    """The number that holds for the expert at this place."""
    return numbers[expert] if isinstance(numbers, tuple) else numbers
