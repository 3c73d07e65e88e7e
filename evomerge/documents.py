"""Files that people write: YAML in, typed values out, with all problems of a file at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import pydantic
import yaml
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from evomerge.errors import ConfigError, Problem

Tree = Any
"""Plain data as YAML gives it: dict, list, str, int, float, bool, None."""


class Value(pydantic.BaseModel):
    """An immutable piece of a document. Unknown keys are refused with the nearest known one."""

    model_config = pydantic.ConfigDict(frozen=True, allow_inf_nan=False)

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        known = {field.alias or name for name, field in cls.model_fields.items()}
        faults = [_unknown_key(name, known) for name in given if name not in known]
        try:
            value = handler({name: part for name, part in given.items() if name in known})
        except pydantic.ValidationError as error:
            faults += [_again(details) for details in error.errors()]
        if faults:
            raise pydantic.ValidationError.from_exception_data(cls.__name__, faults)
        return value


V = TypeVar("V", bound=pydantic.BaseModel)


def read_yaml(path: Path) -> Tree:
    """Parse a YAML file into plain data.

    Raises:
        ConfigError: If the file is missing, unreadable or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError.at(str(path), "there is no such file. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.at(str(path), f"cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise ConfigError.at(str(path), f"is not YAML: {' '.join(str(error).split())}.") from None


def parse(kind: type[V], tree: Tree, where: str) -> V:
    """Check plain data against a document type.

    Args:
        kind: The document's type.
        tree: Plain data.
        where: The file's name, for messages.

    Raises:
        ConfigError: With one problem per fault, each naming its key.
    """
    try:
        return kind.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(*(_problem(details, where) for details in error.errors())) from None


def key(path: Sequence[str | int]) -> str:
    """Spell a path into a tree the way a person would: `blends.mix.pipe[0].density`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def suggestion(word: str, allowed: Collection[str]) -> str:
    """`Did you mean "x"?` when something close is allowed, else the list of what is."""
    close = difflib.get_close_matches(str(word), allowed, n=1)
    return f'Did you mean "{close[0]}"?' if close else f"Allowed: {', '.join(sorted(allowed))}."


def shown(value: Tree) -> str:
    """A value as it would stand in the file, on one short line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("...").strip()
    return text if len(text) <= 80 else f"{text[:77]}..."


def tree_of(value: pydantic.BaseModel) -> dict[str, Tree]:
    """A value as plain data that `parse` reads back to an equal value."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def fault(message: str) -> PydanticCustomError:
    """An error for validators whose text reaches the user as it is."""
    return PydanticCustomError("fault", "{message}", {"message": message})


def _unknown_key(name: Any, known: Collection[str]) -> InitErrorDetails:
    message = f'"{name}" is not a known key. {suggestion(name, known)}'
    return InitErrorDetails(type=fault(message), loc=(), input=name)


def _again(details: ErrorDetails) -> InitErrorDetails:
    if details["type"] == "fault":
        return InitErrorDetails(type=fault(details["msg"]), loc=details["loc"], input=details["input"])
    return InitErrorDetails(
        type=details["type"], loc=details["loc"], input=details["input"], ctx=details.get("ctx", {})
    )


def _problem(details: ErrorDetails, where: str) -> Problem:
    path = details["loc"]
    if details["type"] == "missing":
        message = f'"{path[-1]}" is missing. Add it.'
        path = path[:-1]
    elif details["type"] == "fault":
        message = details["msg"]
    elif details["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", details["ctx"]["expected"])
        message = f'"{details["input"]}" is not allowed. {suggestion(str(details["input"]), allowed)}'
    else:
        message = f"{shown(details['input'])}: {details['msg'].removeprefix('Value error, ')}."
    return Problem(f"{where}: {key(path)}" if path else where, message)
