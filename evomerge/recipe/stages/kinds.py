"""All kinds of stages by slot and name, and how a stage and a pipe are read from a file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias, get_args

import pydantic

from evomerge.documents import fault, shown, suggestion
from evomerge.recipe.numbers import refuse_huge
from evomerge.recipe.stages import (
    adapters,
    calibrated,
    gates,
    gates_joint,
    gates_ranked,
    gates_values,
    origin,
    posts,
    posts_depth,
    reducers,
    reducers_bands,
    reducers_spherical,
    restore,
    spectral,
    subspaces,
    votes,
    weighers,
    weighers_entries,
    weighers_joint,
)
from evomerge.recipe.stages.base import REPEATABLE, SLOTS, StageValue
from evomerge.recipe.stages.weighers import Weigh

_ROOMS = (
    origin,
    gates,
    gates_ranked,
    gates_values,
    gates_joint,
    restore,
    votes,
    weighers,
    weighers_entries,
    weighers_joint,
    reducers,
    reducers_bands,
    reducers_spherical,
    adapters,
    posts,
    posts_depth,
    spectral,
    subspaces,
    calibrated,
)
_LIST = "[number, …]"


def _slot_and_names(kind: type[StageValue]) -> tuple[str, tuple[str, ...]]:
    slot, field = next(iter(kind.model_fields.items()))
    return slot, get_args(field.annotation) if kind is not Weigh else (_LIST,)


KINDS: dict[str, dict[str, type[StageValue]]] = {slot: {} for slot in SLOTS}
"""Slot to the kinds that may stand in it, by the word that names them in a file."""

for _room in _ROOMS:
    for _kind in _room.STAGES:
        _slot, _names = _slot_and_names(_kind)
        KINDS[_slot].update(dict.fromkeys(_names, _kind))


def parse_stage(tree: Any) -> StageValue:
    """Read one stage: the key that names its slot, the kind as its value, parameters beside it."""
    if isinstance(tree, StageValue):
        return tree
    if not isinstance(tree, Mapping):
        raise fault(f"{shown(tree)} is not a stage. Write a mapping such as {{gate: top, density: 0.3}}.")
    found = [name for name in tree if name in SLOTS]
    if len(found) != 1:
        raise fault(f"{shown(dict(tree))} must name one slot, not {len(found)}. Slots: {', '.join(SLOTS)}.")
    kinds = KINDS[found[0]]
    given = tree[found[0]]
    if isinstance(given, Sequence) and not isinstance(given, str) and _LIST in kinds:
        given = _LIST
    if not isinstance(given, str) or given not in kinds:
        raise fault(f'"{shown(given)}" is no kind of {found[0]}. {suggestion(str(given), list(kinds))}')
    return refuse_huge(kinds[given].model_validate(tree))


def stage_tree(stage: StageValue) -> dict[str, Any]:
    """A stage as plain data, without the parameters that are left as they are."""
    return {stage.slot: getattr(stage, stage.slot)} | stage.model_dump(mode="json", exclude_defaults=True)


def _in_order(pipe: tuple[StageValue, ...]) -> tuple[StageValue, ...]:
    slots = [stage.slot for stage in pipe]
    for before, after in itertools.pairwise(slots):
        if SLOTS.index(before) > SLOTS.index(after):
            raise fault(f'"{after}" stands after "{before}". Stages act in this order: {", ".join(SLOTS)}.')
        if before == after and before not in REPEATABLE:
            raise fault(f'"{before}" stands twice. Only {" and ".join(REPEATABLE)} may repeat.')
    for stage in pipe if "lens" in slots else ():
        if stage.slot in ("gate", "weigh", "reduce") and (does := _unfit_for_lens(stage)):
            what = f"{stage.slot}: {getattr(stage, stage.slot)} {does}"
            raise fault(f"{what}, but inside a lens each tensor has its own coordinates. Leave one of them out.")
    return pipe


def _unfit_for_lens(stage: StageValue) -> str | None:
    if stage.spans_model and stage.slot != "weigh":
        return "spans the model"
    return "reads statistics" if stage.expert_measures else None


Stage: TypeAlias = Annotated[StageValue, pydantic.PlainValidator(parse_stage), pydantic.PlainSerializer(stage_tree)]
Pipe: TypeAlias = Annotated[tuple[Stage, ...], pydantic.AfterValidator(_in_order)]
