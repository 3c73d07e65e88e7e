"""Settings: the values of one parameter in a mergekit file, with their filters and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Tree, fault, shown

Place: TypeAlias = tuple[str | int, ...]
"""A path into the document, for messages."""

Scalar: TypeAlias = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Condition:
    """A value for the tensors whose names contain a text.

    Attributes:
        values: One value, or the points of a gradient over the layers of a slice.
        filter: What a tensor's name must contain; None for all names.
        place: Where the value stands, within its setting.
    """

    values: tuple[Scalar, ...]
    filter: str | None = None
    place: Place = ()


Conditions: TypeAlias = tuple[Condition, ...]
"""A parameter's setting: the first condition that a name meets decides."""


def _conditions(tree: Tree) -> Conditions:
    """Read a setting: a value, a gradient, a mapping with `filter` and `value`, or a list of such mappings."""
    if isinstance(tree, tuple) and all(isinstance(part, Condition) for part in tree):
        return tree
    if isinstance(tree, Mapping):
        return (_condition(tree, ()),)
    if isinstance(tree, list) and any(isinstance(part, Mapping) for part in tree):
        faults: list[InitErrorDetails] = []
        conditions = []
        for index, part in enumerate(tree):
            try:
                conditions.append(_condition(part, (index,)))
            except pydantic.ValidationError as error:
                faults += [
                    InitErrorDetails(type=fault(e["msg"]), loc=(index, *e["loc"]), input=part) for e in error.errors()
                ]
        if faults:
            raise pydantic.ValidationError.from_exception_data("setting", faults)
        return tuple(conditions)
    return (Condition(_values(tree)),)


def _condition(tree: Tree, place: Place) -> Condition:
    if not isinstance(tree, Mapping):
        raise _refused(f"{shown(tree)} stands among filters. Write {{filter: TEXT, value: VALUE}}.")
    if unknown := [name for name in tree if name not in ("filter", "value")]:
        raise _refused(f'"{unknown[0]}" is not a known key. Allowed: filter, value.')
    if "value" not in tree:
        raise _refused('"value" is missing. Add it.')
    text = tree.get("filter")
    if text is not None and (not isinstance(text, str) or not text):
        raise _refused(f"{shown(text)} is no filter. A filter is a text that names of tensors contain; quote it.")
    try:
        values = _values(tree["value"])
    except pydantic.ValidationError as error:
        raise _refused(error.errors()[0]["msg"], "value") from None
    return Condition(values, None if text == "*" else text, (*place, "value"))


def _values(tree: Tree) -> tuple[Scalar, ...]:
    values = tree if isinstance(tree, list) else [tree]
    if not values:
        raise _refused("an empty list is no gradient. Give at least one value.")
    for value in values:
        if not isinstance(value, Scalar):
            raise _refused(f"{shown(value)} is neither a number, a truth value nor a text.")
    return tuple(values)


def _refused(message: str, *place: str | int) -> pydantic.ValidationError:
    return pydantic.ValidationError.from_exception_data(
        "setting", [InitErrorDetails(type=fault(message), loc=place, input=None)]
    )


def _given(settings: Tree) -> Tree:
    return {} if settings is None else settings


Settings: TypeAlias = Annotated[
    dict[str, Annotated[Conditions, pydantic.PlainValidator(_conditions)]], pydantic.BeforeValidator(_given)
]
"""The settings of parameters by their names."""
