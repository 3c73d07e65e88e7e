"""Genes: the things that vary in a search, each with its own plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Scalar: TypeAlias = float | int | str | bool
Genome: TypeAlias = tuple[Scalar, ...]
"""One plain Python value per gene, in gene order."""

SIGNIFICANT_DIGITS = 6
"""Floats of genomes and recipes carry this many digits: finer ones change no merged weight that matters."""


def rounded(value: float) -> float:
    """The nearest number with `SIGNIFICANT_DIGITS` significant digits."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


@dataclass(frozen=True, slots=True)
class FloatGene:
    """A real number in [low, high].

    Attributes:
        name: Unique in its space.
        low: Smallest value.
        high: Largest value.
        neutral: The value that leaves the recipe as if the gene's stage were absent, if there is one.
        scale: `log` makes equal ratios equally far apart.
    """

    name: str
    low: float
    high: float
    neutral: float | None = None
    scale: Literal["linear", "log"] = "linear"

    def from_unit(self, unit: float) -> float:
        """The value at position `unit` of the gene, 0 at `low` and 1 at `high`; clipped to the gene."""
        unit = min(max(unit, 0.0), 1.0)
        if self.scale == "log":
            value = self.low ** (1 - unit) * self.high**unit
        else:
            value = (1 - unit) * self.low + unit * self.high
        return min(max(rounded(value), self.low), self.high)

    def to_unit(self, value: float) -> float:
        """Position of a value in the gene, 0 at `low` and 1 at `high`."""
        if self.high == self.low:
            return 0.0
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def contains(self, value: Scalar) -> bool:
        """Whether the gene can take this value."""
        return isinstance(value, float | int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class IntGene:
    """A whole number in [low, high], both ends included."""

    name: str
    low: int
    high: int
    neutral: int | None = None

    def contains(self, value: Scalar) -> bool:
        """Whether the gene can take this value."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class ChoiceGene:
    """One of several values without an order."""

    name: str
    options: tuple[Scalar, ...]
    neutral: Scalar | None = None

    def contains(self, value: Scalar) -> bool:
        """Whether the gene can take this value."""
        return any(type(option) is type(value) and option == value for option in self.options)


Gene: TypeAlias = FloatGene | IntGene | ChoiceGene
