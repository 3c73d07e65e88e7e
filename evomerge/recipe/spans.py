"""Spans: stretches of a model's flattened parameters, and which of several rules governs what."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from evomerge.recipe.stages import StageValue
from evomerge.recipe.where import Role, Where

Span: TypeAlias = tuple[int, int]
"""From which entry to just before which."""


@dataclass(frozen=True, slots=True)
class TensorSpan:
    """The place of a tensor among the flattened parameters of its model.

    Attributes:
        name: The tensor's.
        layer: Its layer, None outside the layers.
        role: What it does.
        start: Its first entry.
        stop: The entry after its last.
    """

    name: str
    layer: int | None
    role: Role
    start: int
    stop: int


def cut(spans: Sequence[Span | None], whole: Span) -> list[tuple[Span, int | None]]:
    """Which of several spans each part of a whole lies in; the first decides.

    Args:
        spans: None for everywhere.
        whole: What is cut.

    Returns:
        Parts in order, neighbours with different places in `spans`; None for a part that lies in none.
    """
    clipped = [(max(span[0], whole[0]), span[1]) if span else whole for span in spans]
    waiting = sorted(range(len(clipped)), key=lambda index: clipped[index], reverse=True)
    ends = {*whole, *(end for span in clipped for end in span if whole[0] < end < whole[1])}
    open_: list[int] = []  # a heap, so that the first of those that are open is on top
    parts: list[tuple[Span, int | None]] = []
    for start, stop in itertools.pairwise(sorted(ends)):
        while waiting and clipped[waiting[-1]][0] <= start:
            heapq.heappush(open_, waiting.pop())
        while open_ and clipped[open_[0]][1] <= start:
            heapq.heappop(open_)
        found = open_[0] if open_ else None
        if parts and parts[-1][1] == found:
            start = parts.pop()[0][0]
        parts.append(((start, stop), found))
    return parts


def span_faults(rules: Sequence[tuple[Where | None, Sequence[StageValue]]]) -> Iterator[tuple[int, str]]:
    """Rules that may get part of a tensor although they need all of it, each by its place and with the reason.

    What may be cut are tensors with a span, and what is left of them for the rules that follow.

    Args:
        rules: Selector and stages of each.
    """
    for index, (where, stages) in enumerate(rules):
        before = [earlier for earlier, _ in rules[: index + 1] if earlier is not None and earlier.span is not None]
        if not any(earlier.may_meet(where or Where()) for earlier in before):
            continue
        for stage in stages:
            if not stage.is_neutral and (does := _unfit_for_pieces(stage)):
                what = f"{stage.slot}: {getattr(stage, stage.slot)} {does}"
                yield (
                    index,
                    f"{what}, but a span may leave it only part of a tensor. Use stages that act entry by entry.",
                )


def _unfit_for_pieces(stage: StageValue) -> str | None:
    if stage.expert_measures or stage.origin_measures:
        return "reads statistics of whole tensors"
    if stage.spans_model or not stage.is_entrywise:
        return "needs whole tensors"
    return None
