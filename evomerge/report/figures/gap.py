"""The gap: believed against test, per finalist and over the run."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evomerge.report import style
from evomerge.report.figures.picture import Picture, within_constraints
from evomerge.report.gap import Gap, candidate_of, gaps
from evomerge.report.labels import Box, Label, place
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import mean_of_objectives, of_objectives
from evomerge.runs.luck import luck_of_the_pick
from evomerge.runs.results import Results

CAPTION = (
    "Left: what the search believed of each finalist from its own items, against what test items say; bars are one "
    "standard error. On the dashed line both are the same; the shaded side is where the search was too hopeful. Dark "
    "squares: the references, on which nothing was optimised. Right: the best that the search believed in so far, "
    "with a band of one standard error of its estimate where not all search items were asked, and test scores of "
    "finalists where they were found. {luck}"
)
CONSTRAINTS = (
    "The best, there and in what is said of luck, is the best that holds all constraints; before there is one, the one "
    "that breaks them least."
)
LUCK = (
    "The dashed line takes off the luck of the pick: the best of many noisy scores is too good even where nothing was "
    "fitted, here by {luck:.3f} at the end, told from random halves of the search items. It does not know what the "
    "search learnt of its items on the way."
)
_BEST: dict[str, Any] = {"color": style.BEST, "marker": "*", "markersize": 13, "zorder": 5}
_OTHER: dict[str, Any] = {"color": style.FINALIST, "marker": "o", "markersize": 5, "zorder": 4}
_REFERENCE: dict[str, Any] = {"color": style.REFERENCE, "marker": "s", "markersize": 4.5, "zorder": 3}


def gap(results: Results) -> Picture | None:
    """Believed and test mean of the objectives; None before a finalist that the search scored was tested."""
    known = [one for one in gaps(results) if one.loss is not None]
    if not any(one.contender.kind == "finalist" for one in known):
        return None
    luck_N = luck_of_the_pick(results)
    caption = CAPTION.format(luck=LUCK.format(luck=luck_N[-1]) if luck_N is not None else "")
    caption = caption.rstrip() + within_constraints(results, CONSTRAINTS)
    svg = style.render("gap", 3.9, lambda figure: _draw(figure, results, known))
    return Picture("gap", _title(results, known), svg, caption)


def _title(results: Results, known: list[Gap]) -> str:
    best = next((one for one in known if one.contender is chosen(results)), None)
    if best is None or best.believed is None:
        return "What the search believed of its finalists, against what test items say"
    return (
        f"Of the chosen merge, one of {len(results.scored)} candidates, the search believed {best.believed.value:.3f}; "
        f"test items say {best.scores['test'].value:.3f}"
    )


def _draw(figure: Figure, results: Results, known: list[Gap]) -> None:
    left, right = figure.subplots(1, 2)
    _over_run(right, results, known)
    boxes = _per_finalist(left, results, known)
    style.settle(figure)
    place(left, [_label(results, one) for one in known], boxes)


def _per_finalist(axes: Axes, results: Results, known: list[Gap]) -> list[Box]:
    """Draw the points; gives the extents of their bars."""
    boxes: list[Box] = []
    for one in known:
        assert one.believed is not None  # as its loss is not
        x, y = one.believed, one.scores["test"]
        axes.errorbar(x.value, y.value, y.stderr, x.stderr, elinewidth=0.8, **_look(results, one))
        boxes.append((x.value - x.stderr, y.value, x.value + x.stderr, y.value))
        boxes.append((x.value, y.value - y.stderr, x.value, y.value + y.stderr))
    ends = np.array([axes.get_xlim(), axes.get_ylim()])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    axes.plot([low, high], [low, high], color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    up = of_objectives(results.fitness).higher_is_better
    axes.fill_between([low, high], [low, high], low if up else high, color=style.BEST, alpha=0.06, linewidth=0)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="believed, on search items", ylabel="on test items")
    axes.set_title(of_objectives(results.fitness).axis, fontsize=9)
    return boxes


def _over_run(axes: Axes, results: Results, known: list[Gap]) -> None:
    yardstick = of_objectives(results.fitness)
    tried_N = np.array([one.number + 1 for one in results.scored])
    believed = {one.number: mean_of_objectives(results, one) for one in results.best_so_far}
    best = [believed[one.number] for one in results.best_so_far]
    value_N, error_N = np.array([[one.value, one.stderr] for one in best]).T
    axes.step(tried_N, value_N, where="post", color=style.INK, linewidth=1.3, label="best believed so far")
    axes.fill_between(
        tried_N, value_N - error_N, value_N + error_N, step="post", color=style.CANDIDATE, alpha=0.3, linewidth=0
    )
    luck_N = luck_of_the_pick(results)
    if luck_N is not None:
        fair_N = value_N - luck_N if yardstick.higher_is_better else value_N + luck_N
        axes.step(
            tried_N,
            fair_N,
            where="post",
            color=style.INK,
            linewidth=1,
            linestyle=(0, (4, 2)),
            label="less luck of the pick",
        )
    for one in known:
        candidate = candidate_of(results, one.contender)
        if one.contender.kind == "finalist" and candidate is not None:
            test = one.scores["test"]
            axes.errorbar(candidate.number + 1, test.value, test.stderr, elinewidth=0.8, **_look(results, one))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))  # room for the legend
    axes.set_xlabel("candidates tried")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left" if yardstick.higher_is_better else "upper right")


def _look(results: Results, one: Gap) -> dict[str, Any]:
    if one.contender.kind == "reference":
        return _REFERENCE
    return _BEST if one.contender is chosen(results) else _OTHER


def _label(results: Results, one: Gap) -> Label:
    assert one.believed is not None
    color = _look(results, one)["color"]
    return Label(style.short(one.contender.name), one.believed.value, one.scores["test"].value, color)
