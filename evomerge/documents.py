"""Files that people write: YAML in, typed values out, with all problems of a file at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
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
            faults += faults_at((), error)
        if faults:
            raise pydantic.ValidationError.from_exception_data(cls.__name__, faults)
        return value


V = TypeVar("V", bound=pydantic.BaseModel)

_WANTED = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text; quote it if it is meant as text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "none_required": "nothing. Leave it empty",
}
"""What pydantic's commonest complaints mean in a person's file, which knows no tuples and no floats."""


_BOUNDS = {
    "greater_than_equal": "is below {ge:g}. Give {ge:g} or more.",
    "greater_than": "is not above {gt:g}. Give more than {gt:g}.",
    "less_than_equal": "is above {le:g}. Give {le:g} or less.",
    "less_than": "is not below {lt:g}. Give less than {lt:g}.",
}
"""What to do about a number out of range, by pydantic's name for it."""


class _Loader(yaml.SafeLoader):
    """YAML's plain data, with numbers such as 1e-3 read as Hydra reads them; YAML 1.1 takes them for text."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def read_yaml(path: Path) -> Tree:
    """Parse a YAML file into plain data.

    Raises:
        ConfigError: If the file is missing, unreadable or not YAML, or if a mapping holds a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_Loader)
        ConfigError.raise_if_any(
            Problem(f"{path}: line {line}", f'"{name}" stands twice in one mapping. Keep one of them.')
            for name, line in _repeated_keys(root, set())
        )
        return _Loader("").construct_document(root) if root is not None else None
    except FileNotFoundError:
        raise ConfigError.at(str(path), "there is no such file. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.at(str(path), f"cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise ConfigError.at(str(path), f"is not YAML: {' '.join(str(error).split())}.") from None


_LINE_ENDS = frozenset("\x85\u2028\u2029")
"""What ends a line in YAML though it is no ASCII: PyYAML writes them as they are and reads a space."""


def dump_yaml(tree: Tree, **layout: Any) -> str:
    """Plain data as YAML that `read_yaml` reads back to the same.

    Args:
        tree: Plain data.
        layout: Further options of PyYAML's, such as `default_flow_style`.
    """
    text = str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True, **layout))
    if _LINE_ENDS.isdisjoint(text):
        return text
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120, **layout))


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
        faults = error.errors()
        problems = (_problem(details, where) for details in faults if not _is_echo(details, faults))
        raise ConfigError(*problems) from None


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
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    except yaml.YAMLError:  # a program's object, which no file holds
        text = repr(value)
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= 80 else f"{text[:77]}..."


def tree_of(value: pydantic.BaseModel) -> dict[str, Tree]:
    """A value as plain data that `parse` reads back to an equal value."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def fault(message: str, at: tuple[str | int, ...] | None = None) -> PydanticCustomError:
    """An error for validators whose text reaches the user as it is.

    Args:
        message: What is wrong, what is allowed and what to do.
        at: Where in the whole document, if that is elsewhere than what is validated.
    """
    return PydanticCustomError("fault", "{message}", {"message": message, "at": at})


def complaint(details: ErrorDetails) -> str:
    """What is wrong and what to do about it, in our words where we have some."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "missing":
        last = details["loc"][-1]
        return f"entry {last + 1} is missing. Add it." if isinstance(last, int) else f'"{last}" is missing. Add it.'
    if kind == "fault":
        return details["msg"]
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        return f'"{details["input"]}" is not allowed. {suggestion(str(details["input"]), allowed)}'
    if kind == "too_short":
        return f"{context['actual_length']} entries are too few. Give {context['min_length']} or more."
    if kind == "too_long":
        return f"{context['actual_length']} entries are too many. Give {context['max_length']}."
    if kind in _BOUNDS:
        return f"{shown(details['input'])} {_BOUNDS[kind].format_map(context)}"
    if kind in _WANTED:
        return f"{shown(details['input'])} is not {_WANTED[kind]}."
    return f"{shown(details['input'])}: {details['msg'].removeprefix('Value error, ')}."


def faults_at(place: tuple[str | int, ...], error: pydantic.ValidationError) -> list[InitErrorDetails]:
    """The faults of a part of a document, as faults of the whole that has it at `place`."""
    return [
        InitErrorDetails(
            type=fault(details["msg"], details["ctx"]["at"]) if details["type"] == "fault" else details["type"],
            loc=(*place, *details["loc"]),
            input=details["input"],
            ctx=details.get("ctx", {}),
        )
        for details in error.errors()
    ]


def _repeated_keys(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Keys that YAML would overwrite silently, each with its line."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))  # an alias is a node seen before
    known: set[str] = set()
    for part in node.value:
        if isinstance(node, yaml.MappingNode) and isinstance(part[0], yaml.ScalarNode):
            if part[0].value in known:
                yield part[0].value, part[0].start_mark.line + 1
            known.add(part[0].value)
        for inner in part if isinstance(node, yaml.MappingNode) else (part,):
            yield from _repeated_keys(inner, seen)


def _unknown_key(name: Any, known: Collection[str]) -> InitErrorDetails:
    message = f'"{name}" is not a known key. {suggestion(name, known)}'
    return InitErrorDetails(type=fault(message), loc=(), input=name)


def _is_echo(details: ErrorDetails, faults: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because pydantic does not count its faulty entries."""
    place = details["loc"]
    inside = (fault for fault in faults if len(fault["loc"]) > len(place))
    return details["type"] == "too_short" and any(fault["loc"][: len(place)] == place for fault in inside)


def _problem(details: ErrorDetails, where: str) -> Problem:
    path = details["loc"][:-1] if details["type"] == "missing" else details["loc"]
    path = details["ctx"]["at"] or path if details["type"] == "fault" else path
    return Problem(f"{where}: {key(path)}" if path else where, complaint(details))
