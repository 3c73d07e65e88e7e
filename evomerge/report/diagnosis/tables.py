"""Tables of a diagnosis: experts, pairs, and both by layer, by role or by tensor, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from rich import box
from rich.table import Table
from rich.text import Text

from evomerge.checkpoints import Position
from evomerge.checkpoints.diagnosis import Kinship, Moments, Survey

Level: TypeAlias = Literal["role", "layer", "part", "tensor"]
"""What one row stands for; a part is a role within a layer."""

LEVELS: tuple[Level, ...] = get_args(Level)
_MOST_PAIRS = 3
"""Pairs that get columns of their own; more are told by their extremes."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of texts.

    Attributes:
        title: What it shows.
        head: Names of the columns; the first holds names, the others numbers.
        rows: Of as many texts each.
        note: How to read it.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    @property
    def rich(self) -> Table:
        """For the terminal."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=self.title, title_justify="left")
        table.caption, table.caption_justify = self.note or None, "left"
        for index, name in enumerate(self.head):
            table.add_column(Text(name), justify="right" if index else "left", overflow="fold", no_wrap=not index)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table


def experts(survey: Survey) -> Sheet:
    """What each expert changed in the whole model."""
    whole = survey.whole
    rows = []
    for index, name in enumerate(survey.experts):
        change = whole.change(index)
        shares = [_percent(change.relative_norm), _number(change.cosine_with_base, 4), _percent(change.zero_share)]
        rows.append([name, f"{change.norm:.4g}", *shares])
    note = "Changes: weights minus the base's. Relative: their norm, of the base's. Unchanged: entries as in the base."
    head = ["expert", "norm", "relative", "cosine with base", "unchanged"]
    return Sheet(f"What the experts changed in {survey.base}", head, rows, note)


def pairs(survey: Survey) -> Sheet | None:
    """How every two experts' changes relate over the whole model; None for a single expert."""
    whole = survey.whole
    rows = []
    for one, other in survey.pairs:
        kin = whole.kinship(one, other)
        shares = [_percent(kin.conflict), _percent(kin.weighted_conflict)]
        rows.append(
            [f"{survey.experts[one]} – {survey.experts[other]}", _number(kin.cosine), _number(kin.pearson), *shares]
        )
    note = (
        "Opposite signs: of the entries that both changed; 50% is chance. Weighted: large changes count more. Cosine "
        "and Pearson: of the changes; 0 is nothing in common."
    )
    head = ["pair", "cosine", "Pearson", "opposite signs", "weighted"]
    return Sheet("How their changes relate", head, rows, note) if rows else None


def breakdown(survey: Survey, level: Level) -> Sheet:
    """Relative norms and kinship, one row for each layer, role, part or tensor."""
    groups = _grouped(survey, level)
    head = [{"part": "layer and role"}.get(level, level), *survey.experts, *_pair_heads(survey)]
    rows = [
        [
            name,
            *(_percent(moments.change(index).relative_norm) for index in range(len(survey.experts))),
            *_pair_cells(survey, moments),
        ]
        for name, moments in groups.items()
    ]
    note = "Experts: norm of the changes, of the base's."
    if len(survey.pairs) > _MOST_PAIRS:
        note += " Cosine and opposite signs: of the pairs with the least and the most."
    elif survey.pairs:
        note += " Pairs: cosine of the changes, and share of opposite signs."
    return Sheet(f"By {head[0]}", head, rows, note)


def _grouped(survey: Survey, level: Level) -> dict[str, Moments]:
    """Moments by the name of a row, in the order of the model."""
    keys: dict[Level, Callable[[str], Position | str | int | None]] = {
        "role": lambda name: survey.parts_of[name].role,
        "layer": lambda name: survey.parts_of[name].layer,
        "part": survey.parts_of.__getitem__,
        "tensor": lambda name: name,
    }
    groups = survey.grouped(keys[level])
    return {_named(place): groups[place] for place in sorted(groups, key=_order)}


def _named(place: Position | str | int | None) -> str:
    if isinstance(place, Position):
        return place.role if place.layer is None else f"{place.layer} {place.role}"
    return "outside" if place is None else str(place)


def _order(place: Position | str | int | None) -> tuple[int, int, str]:
    """Embeddings, layers, then what follows them; names as they come."""
    if isinstance(place, Position):
        outside = -1 if place.role == "embedding" else 1
        return (outside, 0, place.role) if place.layer is None else (0, place.layer, place.role)
    return (0, place, "") if isinstance(place, int) else (1, 0, "")


def _pair_heads(survey: Survey) -> list[str]:
    if len(survey.pairs) > _MOST_PAIRS:
        return ["cosine", "opposite signs"]
    return [f"{survey.experts[one]} – {survey.experts[other]}" for one, other in survey.pairs]


def _pair_cells(survey: Survey, moments: Moments) -> Iterator[str]:
    kin = [moments.kinship(one, other) for one, other in survey.pairs]
    if len(kin) <= _MOST_PAIRS:
        yield from (f"{_number(one.cosine, 2)}  {_percent(one.conflict)}" for one in kin)
        return
    for values, shown in ((_known(kin, "cosine"), _number), (_known(kin, "conflict"), _percent)):
        yield f"{shown(min(values, default=None))} … {shown(max(values, default=None))}"


def _known(kin: list[Kinship], quantity: str) -> list[float]:
    return [value for one in kin if (value := getattr(one, quantity)) is not None]


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:z.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}" if value == 0 or value >= 0.001 else f"{value:.1e}"
