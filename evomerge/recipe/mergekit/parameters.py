"""The value of a parameter at one tensor: scopes from the nearest to the widest, first matching filter, gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evomerge.documents import shown
from evomerge.recipe.mergekit.methods import Kind
from evomerge.recipe.mergekit.settings import Condition, Conditions, Place, Scalar, Settings

Scopes: TypeAlias = Sequence[tuple[Place, Settings]]
"""Places and settings, the nearest to the tensor first: source, slice, module, whole file."""


class NotThatKind(Exception):
    """A value is not of its parameter's kind; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where in the file it stands."""

    value: float | bool
    place: Place


def resolve(name: str, kind: Kind, scopes: Scopes, tensor: str, t: float) -> Found | None:
    """The value of a parameter; None where no scope has one for this tensor.

    Args:
        name: mergekit's name of the parameter.
        kind: What it must be.
        scopes: The nearest first; the first with a value for this tensor decides.
        tensor: Name of the tensor.
        t: Where its layer stands in its slice, from 0 to 1.

    Raises:
        NotThatKind: If the value is of another kind, which a file's check has told before.
    """
    for place, settings in scopes:
        condition = first_match(settings.get(name, ()), tensor)
        if condition is not None:
            where = (*place, name, *condition.place)
            return Found(at([typed(value, kind) for value in condition.values], t), where)
    return None


def first_match(conditions: Conditions, tensor: str) -> Condition | None:
    """The first condition whose filter the name contains."""
    return next((c for c in conditions if c.filter is None or c.filter in tensor), None)


def at(points: Sequence[float | bool], t: float) -> float | bool:
    """A gradient at `t`: numbers are interpolated between evenly spaced points, truth values hold up to the next."""
    position = t * (len(points) - 1)
    before = int(position)
    if any(isinstance(point, bool) for point in points):
        return points[before]
    after, share = min(before + 1, len(points) - 1), position - before
    return (1 - share) * points[before] + share * points[after]


def typed(value: Scalar, kind: Kind) -> float | bool:
    """A value as its parameter takes it; texts that are numbers count as such.

    Raises:
        NotThatKind: If it is of another kind.
    """
    if kind == "flag":
        if value in (True, False, 0, 1):
            return bool(value)
        raise NotThatKind(f"{shown(value)} is neither true nor false.")
    if not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise NotThatKind(f"{shown(value)} is not a number.")
