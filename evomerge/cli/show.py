"""`evomerge show`: one merge operator with its parameters and the pipe that it expands to."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from evomerge.cli import parser
from evomerge.documents import shown, suggestion
from evomerge.errors import ConfigError
from evomerge.recipe.calibration import PER_CANDIDATE
from evomerge.recipe.presets import PRESETS, PresetValue
from evomerge.recipe.stages import stage_tree

_WORDS = {bool: "true | false", int: "a whole number", float: "any number", str: "text"}


def run(argv: Sequence[str]) -> int:
    """Print what is known of one operator."""
    arguments = parser("show")
    arguments.add_argument("what", choices=["operator"])
    arguments.add_argument("name", help="one of those that `evomerge ls operators` lists")
    given = arguments.parse_args(argv)
    if given.name not in PRESETS:
        raise ConfigError.at(
            "evomerge show operator", f'"{given.name}" is no operator. {suggestion(given.name, PRESETS)}'
        )
    kind = PRESETS[given.name]
    console = Console()
    console.print(f"{given.name}: {inspect.getdoc(kind)}\n", markup=False, highlight=False)
    console.print(_parameters(kind))
    console.print(f"\nA rule of a blend: rules: [{{use: {given.name}}}]", markup=False, highlight=False)
    for line in _needs(kind):
        console.print(line, markup=False, highlight=False)
    num_experts, pipe = expansion(given.name)
    console.print(f"\nFor {num_experts} expert{'s' if num_experts > 1 else ''} it stands for\n\npipe:", highlight=False)
    for stage in pipe:
        console.print(f"  - {stage}", markup=False, highlight=False)
    return 0


def expansion(name: str) -> tuple[int, list[str]]:
    """The number of experts of an example, three where the operator takes so many, and its stages as YAML."""
    preset = PRESETS[name].model_validate({"use": name})
    for num_experts in (3, 2, 1):
        pipe = preset.pipe(num_experts)
        if not any(stage.misfit([f"expert {index}" for index in range(num_experts)]) for stage in pipe):
            break
    trees = [yaml.safe_dump(stage_tree(stage), sort_keys=False, default_flow_style=True, width=200) for stage in pipe]
    return num_experts, [tree.strip() for tree in trees]


def _needs(kind: type[PresetValue]) -> Iterator[str]:
    """The statistics that it reads, of whom, and where they come from."""
    stages = kind.model_validate({"use": get_args(kind.model_fields["use"].annotation)[0]}).pipe(2)
    of_experts = dict.fromkeys(each for stage in stages for each in stage.expert_measures)
    of_origin = dict.fromkeys(each for stage in stages for each in stage.origin_measures)
    for whose, kinds in (("every expert", of_experts), ("the origin", of_origin)):
        if kinds:
            yield f"It reads {', '.join(kinds)} of {whose}, on data that the recipe names under calibration."
    if (of_experts | of_origin).keys() - {*PER_CANDIDATE}:
        yield "Measure it before: evomerge calibrate statistics RECIPE"


def _parameters(kind: type[PresetValue]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 1))
    for heading in ("parameter", "default", "allowed"):
        table.add_column(heading)
    for row in parameters(kind):
        table.add_row(*row)
    return table


def parameters(kind: type[PresetValue]) -> Iterator[tuple[str, str, str]]:
    """Name, default and range of every parameter of a preset."""
    for name, field in kind.model_fields.items():
        if name not in ("where", "use"):
            yield name, "absent" if field.default is None else shown(field.default), _range(field)


def _range(field: FieldInfo) -> str:
    if field.description:
        return field.description
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, get_args(field.annotation)))
    kinds = get_args(field.annotation) or (field.annotation,)
    words = " or ".join(_WORDS[kind] for kind in kinds if kind in _WORDS)
    least = [part.ge for part in field.metadata if hasattr(part, "ge")]
    return f"{words} from {least[0]}" if least else words
