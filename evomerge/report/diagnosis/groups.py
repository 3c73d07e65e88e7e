"""The groups: how norms and conflicts run through the layers, and where the suggestion cuts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from evomerge.checkpoints.diagnosis import Diagnosis, Grouping, Moments, Survey
from evomerge.report import style
from evomerge.report.diagnosis.drawing import Drawing
from evomerge.report.labels import spread

CAPTION = (
    "Layer by layer, all roles together. Above: how far each expert moved from the base. Below: the share of opposite "
    "signs of every two experts; 50 % is chance. Shades are the suggested bands: contiguous layers that are alike in "
    "both. A further band is cut as long as it explains another tenth of the variance between layers. "
    "Experts that cannot be merged as they are were left out."
)
_HEIGHT_IN = 3.6
_GAP = 0.13
"""Between names of lines, as a share of the panel's height."""

_WIDE = 6.0
"""Ratio of norms from which on their scale is logarithmic."""

_MOST_PAIRS = 6
"""More pairs are drawn as their mean and their range."""

Line = tuple[str, list[float], str]
"""Label, heights and colour."""


def groups(diagnosis: Diagnosis) -> Drawing | None:
    """Profiles over the layers with the suggested bands; None where there are too few layers to cut."""
    survey, grouping = diagnosis.sound, diagnosis.grouping
    layers = survey.grouped(lambda name: survey.parts_of[name].layer)
    inside = {layer: layers[layer] for layer in sorted(layer for layer in layers if layer is not None)}
    if grouping is None or len(inside) < 2:
        return None
    title = (
        f"{len(grouping.bands)} bands of layers explain {grouping.explained:.0%} of the differences between layers"
        if len(grouping.bands) > 1
        else "The layers are much alike: one group is enough"
    )
    return Drawing("groups", title, CAPTION, _HEIGHT_IN, lambda figure: _draw(figure, survey, inside, grouping))


def _draw(figure: Figure, survey: Survey, layers: dict[int, Moments], grouping: Grouping) -> None:
    if not survey.pairs:
        panels = [figure.subplots()]
    else:
        panels = list(figure.subplots(2, 1, sharex=True))
        panels[1].set_ylabel("opposite signs")
        reach = max(0.05, *(abs(height - 0.5) for line in _conflicts(survey, layers) for height in line[1]))
        panels[1].set_ylim(0.5 - 1.08 * reach, 0.5 + 1.08 * reach)  # chance in the middle, and noise looks like noise
        panels[1].axhline(0.5, color=style.MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        _curves(panels[1], list(layers), _conflicts(survey, layers))
    if _ratio(survey, layers) > _WIDE:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        panels[0].minorticks_off()
    _curves(panels[0], list(layers), _norms(survey, layers))
    panels[0].set_ylabel("norm of the changes\n(base: 100%)")
    for axes in panels:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
        axes.grid(visible=False, axis="x")
        for index, (first, last) in enumerate(grouping.bands):
            axes.axvspan(first - 0.5, last + 0.5, color=style.FINALIST, alpha=0.05 + 0.09 * (index % 2), linewidth=0)
    for first, last in grouping.bands:
        name = f"{first}–{last}" if last > first else str(first)
        panels[0].annotate(
            name, ((first + last) / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", color=style.MUTED, fontsize=8.5,
        )  # fmt: skip
    panels[-1].set_xlim(min(layers) - 0.5, max(layers) + 0.5)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("layer")


def _ratio(survey: Survey, layers: dict[int, Moments]) -> float:
    """Of the largest norm to the smallest; 0 where an expert did not move, which no logarithm shows."""
    heights = [height for _, line, _ in _norms(survey, layers) for height in line]
    return max(heights) / min(heights) if min(heights) > 0 else 0.0


def _norms(survey: Survey, layers: dict[int, Moments]) -> list[Line]:
    return [
        (name, [part.change(index).relative_norm or 0.0 for part in layers.values()], _color(index))
        for index, name in enumerate(survey.experts)
    ]


def _conflicts(survey: Survey, layers: dict[int, Moments]) -> list[Line]:
    lines = [
        (
            f"{style.short(survey.experts[one])} – {style.short(survey.experts[other])}",
            [_known(part.kinship(one, other).conflict) for part in layers.values()],
            _color(index + 2),
        )
        for index, (one, other) in enumerate(survey.pairs)
    ]
    if len(lines) <= _MOST_PAIRS:
        return lines
    heights_PL = np.array([heights for _, heights, _ in lines])
    named = {"most": heights_PL.max(axis=0), "mean": heights_PL.mean(axis=0), "least": heights_PL.min(axis=0)}
    return [(name, heights_L.tolist(), style.MUTED) for name, heights_L in named.items()]


def _curves(axes: Axes, layers: Sequence[int], lines: list[Line]) -> None:
    """Lines with their names at the right end, which do not cover each other."""
    for _, heights, color in lines:
        axes.plot(layers, heights, color=color, linewidth=1.5, marker="o", markersize=3.2)
    axes.autoscale_view()
    to_share = (axes.transData + axes.transAxes.inverted()).transform
    ends = [float(to_share((layers[-1], heights[-1]))[1]) for _, heights, _ in lines]
    for (name, _, color), place in zip(lines, spread(ends, _GAP, 1.0), strict=True):
        axes.annotate(
            style.clipped(name, 24), (1, place), xycoords="axes fraction", xytext=(5, 0), textcoords="offset points",
            va="center", color=color, fontsize=8.5, annotation_clip=False,
        )  # fmt: skip


def _known(conflict: float | None) -> float:
    return 0.5 if conflict is None else conflict


def _color(index: int) -> str:
    return style.SERIES[index % len(style.SERIES)]
