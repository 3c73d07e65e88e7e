"""Labels: names beside points of a figure, placed so that they cover neither one another nor what is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right and top, in data coordinates."""

Boxes: TypeAlias = npt.NDArray[np.float64]
"""The same of each box: (N, 4), in pixels."""

_FONT_SIZE = 8.5
_PADDING_PX = 4.0
_NEAR = 11
"""Points between a label and its point beyond which a thin line joins them."""

_OFFSETS_P2 = np.array(
    [
        (dx * reach, dy * reach)
        for reach in (6, 11, 18, 28, 40)
        for dx, dy in ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
    ],
    dtype=np.float64,
)
"""Where a label may stand, in points from its point; the nearest come first."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name for the point (x, y) in data coordinates."""

    text: str
    x: float
    y: float
    color: str


def place(axes: Axes, labels: Sequence[Label], drawn: Sequence[Box]) -> None:
    """Write each label at the free place nearest to its point; the first label chooses first.

    Args:
        axes: With its final limits and layout.
        labels: What to write.
        drawn: Extents of what labels must not cover.
    """
    corners = axes.transData.transform(np.array(drawn, dtype=np.float64).reshape(-1, 2)).reshape(-1, 4)
    taken_N4 = corners + np.array([-1, -1, 1, 1]) * _PADDING_PX
    frame_14 = np.array([axes.get_window_extent().extents])
    for label in labels:
        places_P4 = _places(axes, label)
        outside_P = _areas(places_P4) - _overlaps(places_P4, frame_14)
        choice = int((_overlaps(places_P4, taken_N4) + outside_P).argmin())
        _write(axes, label, *_OFFSETS_P2[choice].tolist())
        taken_N4 = np.concatenate([taken_N4, places_P4[choice : choice + 1]])


def spread(heights: Sequence[float], gap: float, high: float) -> list[float]:
    """Heights moved as little as needed to stand at least `gap` apart and below `high`."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = [heights[index] for index in order]
    for below, above in itertools.pairwise(range(len(moved))):
        moved[above] = max(moved[above], moved[below] + gap)
    ceiling = high
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return [height for _, height in sorted(zip(order, moved, strict=True))]


def _places(axes: Axes, label: Label) -> Boxes:
    """The box that a label would fill at every offset."""
    probe = axes.text(label.x, label.y, label.text, fontsize=_FONT_SIZE)
    size_2 = np.array(probe.get_window_extent().size)
    probe.remove()
    offsets_P2 = _OFFSETS_P2 * axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]  # these have a figure
    low_P2 = axes.transData.transform((label.x, label.y)) + offsets_P2 + (np.sign(offsets_P2) - 1) / 2 * size_2
    return np.concatenate([low_P2, low_P2 + size_2], axis=1)


def _write(axes: Axes, label: Label, dx: float, dy: float) -> None:
    line = {"arrowstyle": "-", "color": label.color, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
    axes.annotate(
        label.text,
        (label.x, label.y),
        (dx, dy),
        textcoords="offset points",
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="bottom" if dy > 0 else "top" if dy < 0 else "center",
        fontsize=_FONT_SIZE,
        color=label.color,
        arrowprops=line if max(abs(dx), abs(dy)) > _NEAR else None,
        annotation_clip=False,
        zorder=7,
    )


def _overlaps(boxes_P4: Boxes, others_N4: Boxes) -> npt.NDArray[np.float64]:
    """Area of each box that the others cover, (P,); what two of them cover counts twice."""
    low = np.maximum(boxes_P4[:, None, :2], others_N4[None, :, :2])
    high = np.minimum(boxes_P4[:, None, 2:], others_N4[None, :, 2:])
    covered_P: npt.NDArray[np.float64] = (high - low).clip(min=0).prod(axis=2).sum(axis=1)
    return covered_P


def _areas(boxes_P4: Boxes) -> npt.NDArray[np.float64]:
    areas_P: npt.NDArray[np.float64] = (boxes_P4[:, 2:] - boxes_P4[:, :2]).prod(axis=1)
    return areas_P
