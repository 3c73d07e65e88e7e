"""Parallel coordinates: the front where there are more than two objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from evomerge.report import style
from evomerge.report.figures.front import title
from evomerge.report.figures.picture import Picture
from evomerge.report.labels import spread
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import words_of
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Every line is one merged model, every upright an objective; where the line crosses it is the model's score, "
    "better further up. Each upright runs from the worst score shown (foot) to the best (top). Lines that cross "
    "show a trade between two objectives. Pale lines: candidates, on search items."
)
FINALISTS = (
    " Blue: finalists on test items, strong where no other finalist beat them on the selection split. Dashed: "
    "references. Orange, with stars: the chosen merge."
)

Losses = npt.NDArray[np.float64]


def parallel(results: Results) -> Picture | None:
    """Scores on more than two objectives; None for fewer, or before anything was scored."""
    if results.fitness.num_objectives < 3 or not results.scored:
        return None
    assessed = any(contender.complete("test") for contender in results.contenders.values())
    svg = style.render("parallel", 4.8, lambda figure: _draw(figure, results))
    return Picture("parallel", title(results), svg, CAPTION + (FINALISTS if assessed else ""))


def _draw(figure: Figure, results: Results) -> None:
    axes = figure.subplots()
    style.plain_axis(axes)
    candidates_CO = _array(results, [candidate.losses for candidate in results.scored])
    shown = [contender for contender in results.contenders.values() if contender.complete("test")]
    shown_CO = _array(results, [results.worth(contender, "test").losses for contender in shown])
    everything_CO = np.concatenate([candidates_CO, shown_CO])
    worst_O, best_O = everything_CO.max(axis=0), everything_CO.min(axis=0)
    span_O = np.where(worst_O > best_O, worst_O - best_O, 1.0)
    lines = [list(enumerate(row)) for row in ((worst_O - candidates_CO) / span_O).tolist()]
    axes.add_collection(LineCollection(lines, colors=style.CANDIDATE, linewidths=0.6, alpha=0.35, zorder=1))
    ends = []
    for contender, heights in zip(shown, ((worst_O - shown_CO) / span_O).tolist(), strict=True):
        look = _look(contender, results)
        axes.plot(range(len(heights)), heights, **look)
        if contender.kind == "reference" or contender is chosen(results):
            ends.append((contender.name, heights[-1], look["color"]))
    _uprights(axes, results, worst_O, best_O)
    at = spread([height for _, height, _ in ends], gap=0.055, high=1.0)
    for (name, _, color), height in zip(ends, at, strict=True):
        axes.text(len(worst_O) - 0.94, height, style.short(name), color=color, va="center", fontsize=8.5)


def _array(results: Results, rows: Sequence[tuple[float, ...]]) -> Losses:
    return np.array(rows, dtype=np.float64).reshape(len(rows), results.fitness.num_objectives)


def _uprights(axes: Axes, results: Results, worst_O: Losses, best_O: Losses) -> None:
    objectives = results.fitness.objectives
    feet, tops = objectives.from_losses(worst_O.tolist()), objectives.from_losses(best_O.tolist())
    names = []
    for place, (name, foot, top) in enumerate(zip(objectives.names, feet, tops, strict=True)):
        axes.vlines(place, 0, 1, color=style.MUTED, linewidth=0.9, zorder=2)
        axes.text(place, 1.02, f"{top:.3f}", ha="center", va="bottom", fontsize=8.5)
        axes.text(place, -0.02, f"{foot:.3f}", ha="center", va="top", fontsize=8.5)
        direction = "higher" if objectives.higher_is_better[name] else "lower"
        names.append(f"{name}\n{words_of(results.fitness, name)}\n{direction} is better")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlim=(-0.3, len(names) - 0.35), ylim=(-0.08, 1.08), yticks=[])


def _look(contender: Contender, results: Results) -> dict[str, Any]:
    if contender is chosen(results):
        return {"color": style.BEST, "linewidth": 2.2, "marker": "*", "markersize": 11, "zorder": 6}
    if contender.kind == "reference":
        return {"color": style.REFERENCE, "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 4}
    strong = contender in results.front()
    return {"color": style.FINALIST, "linewidth": 1.5 if strong else 0.8, "alpha": 1.0 if strong else 0.45, "zorder": 5}
