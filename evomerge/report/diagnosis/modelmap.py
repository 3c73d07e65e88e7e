"""The map of a model: a column for each layer, a row for each role, and at the ends what lies outside the layers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from evomerge.checkpoints import Position
from evomerge.recipe.where import Role
from evomerge.report import style

ROLES: tuple[Role, ...] = ("attention", "mlp", "router", "norm", "other")
"""Rows, from the top."""

_BEFORE: tuple[Role, ...] = ("embedding",)
_AFTER: tuple[Role, ...] = (*ROLES, "head")
_GAP, _HEADING, _INSET = 0.35, 0.95, 0.06
_MOST_NUMBERS = 9
"""Columns up to which there is room for the numbers themselves."""

_MOST_TICKS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """One set of values on the map.

    Attributes:
        heading: Above it.
        values: By part; None where there is nothing to show.
        marked: Parts that get a frame.
    """

    heading: str
    values: Mapping[Position, float | None]
    marked: Collection[Position] = ()


@dataclass(frozen=True, slots=True)
class ModelMap:
    """Where parts stand.

    Attributes:
        layers: Columns.
        roles: Rows.
        before: Columns left of the layers.
        after: Columns right of them.
    """

    layers: tuple[int, ...]
    roles: tuple[Role, ...]
    before: tuple[Role, ...] = field(default=())
    after: tuple[Role, ...] = field(default=())

    @classmethod
    def of(cls, parts: Iterable[Position], without: Collection[Role] = ()) -> ModelMap:
        """The map of a model with these parts, without some roles."""
        kept = [part for part in parts if part.role not in without]
        inside = {part.role for part in kept if part.layer is not None}
        outside = {part.role for part in kept if part.layer is None}
        return cls(
            tuple(sorted({part.layer for part in kept if part.layer is not None})),
            tuple(role for role in ROLES if role in inside) or ("other",),
            tuple(role for role in _BEFORE if role in outside),
            tuple(role for role in _AFTER if role in outside),
        )

    @property
    def block_height(self) -> float:
        """Rows that a block takes with its heading."""
        return len(self.roles) + self._heading_height + _GAP

    @property
    def num_columns(self) -> int:
        """Of all kinds."""
        return len(self.before) + len(self.layers) + len(self.after)

    def box(self, part: Position) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of a part's cell within a block; None for parts that are not on the map."""
        if part.layer is not None:
            if part.layer not in self.layers or part.role not in self.roles:
                return None
            return float(self.layers.index(part.layer)), float(self.roles.index(part.role)), 1.0, 1.0
        height = float(len(self.roles))
        if part.role in self.before:
            return self.before.index(part.role) - len(self.before) - _GAP, 0.0, 1.0, height
        if part.role in self.after:
            return len(self.layers) + self.after.index(part.role) + _GAP, 0.0, 1.0, height
        return None

    def draw(
        self, axes: Axes, blocks: list[Block], colors: tuple[Colormap, Normalize], numbers: str = ""
    ) -> ScalarMappable:
        """Draw blocks, one below the other.

        Args:
            axes: Empty.
            blocks: What to draw.
            colors: Of the cells; values of None are left pale.
            numbers: Format of the numbers in the cells; absent: none. They are left out where there is no room.

        Returns:
            What a colour bar needs.
        """
        style.plain_axis(axes)
        scale = ScalarMappable(colors[1], colors[0])
        for index, block in enumerate(blocks):
            self._draw_block(axes, block, index * self.block_height, scale, numbers)
        self._label(axes, [block.heading for block in blocks])
        return scale

    def _draw_block(self, axes: Axes, block: Block, top: float, scale: ScalarMappable, numbers: str) -> None:
        if self._heading_height:
            axes.text(self._left, top + _HEADING - 0.25, block.heading, va="bottom", color=style.INK)
        with_numbers = bool(numbers) and self.num_columns <= _MOST_NUMBERS
        for part, value in block.values.items():
            place = self.box(part)
            if place is None:
                continue
            x, y, width, height = place
            y += top + self._heading_height
            color = to_rgb(style.FAINT) if value is None else _color(scale, value)
            axes.add_patch(Rectangle((x, y), width, height, facecolor=color, edgecolor="white", linewidth=0.7))
            if part in block.marked:
                _frame(axes, x, y, width, height)
            if with_numbers and value is not None:
                is_dark = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] < 0.5
                axes.text(
                    x + width / 2, y + height / 2, format(value, numbers), ha="center", va="center", fontsize=8,
                    color="white" if is_dark else style.INK,
                )  # fmt: skip

    @property
    def _heading_height(self) -> float:
        """None where a block is one row, whose name is then the heading."""
        return _HEADING if len(self.roles) > 1 else 0.0

    @property
    def _left(self) -> float:
        return -len(self.before) - (_GAP if self.before else 0)

    def _label(self, axes: Axes, headings: list[str]) -> None:
        right = len(self.layers) + len(self.after) + (_GAP if self.after else 0)
        axes.set_xlim(self._left, right)
        axes.set_ylim(len(headings) * self.block_height - _GAP, 0)
        step = math.ceil(len(self.layers) / _MOST_TICKS) or 1
        ticks = {index + 0.5: str(layer) for index, layer in enumerate(self.layers) if index % step == 0}
        for role in (*self.before, *self.after):
            x, _, width, _ = self.box(Position(None, role)) or (0.0, 0.0, 0.0, 0.0)
            ticks[x + width / 2] = "embed" if role == "embedding" else role
        axes.set_xticks(list(ticks), list(ticks.values()))
        if self.num_columns > _MOST_NUMBERS:
            for label in axes.get_xticklabels()[len(ticks) - len(self.before) - len(self.after) :]:
                label.set_rotation(90)
        rows = {
            block * self.block_height + self._heading_height + row + 0.5: role if self._heading_height else heading
            for block, heading in enumerate(headings)
            for row, role in enumerate(self.roles)
        }
        axes.set_yticks(list(rows), list(rows.values()))
        axes.tick_params(labelcolor=style.INK, labelsize=8)
        axes.set_xlabel("layer")


def _color(scale: ScalarMappable, value: float) -> tuple[float, float, float]:
    red, green, blue, _ = scale.to_rgba(np.array([value]))[0].tolist()
    return red, green, blue


def _frame(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    """A frame just inside a cell."""
    frame = Rectangle((x + _INSET, y + _INSET), width - 2 * _INSET, height - 2 * _INSET)
    frame.set(facecolor="none", edgecolor=style.BEST, linewidth=1.6, zorder=3)
    axes.add_patch(frame)
