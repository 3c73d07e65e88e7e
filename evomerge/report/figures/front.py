"""The front: two objectives, and what merges and references reach on both."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evomerge.fitness.constraints import feasible_first
from evomerge.fitness.racing import ranked
from evomerge.report import style
from evomerge.report.figures.picture import Picture, within_constraints
from evomerge.report.labels import Box, Label, place
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import words_of
from evomerge.runs.front import held_losses
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Every point is one merged model; its two coordinates are its scores. Small pale dots are the candidates of "
    "the search, scored on the search items."
)
FINALISTS = (
    " Large markers are scored on test items, which the search never saw; their bars are one standard error. The "
    "line bounds what the front members reach: at every point of the shaded area, some of them is at least as "
    "good on both objectives. Front members were picked on the selection split, so on test items some may lie "
    "behind the line, and others beyond it. Numbers name candidates."
)
CONSTRAINTS = "The line leaves out members that break a constraint on test items."


def front(results: Results) -> Picture | None:
    """Scores on two objectives; None for another number of objectives, or before anything was scored."""
    if results.fitness.num_objectives != 2 or not results.scored:
        return None
    assessed = any(finalist.complete("test") for finalist in results.finalists)
    svg = style.render("front", 5.4, lambda figure: _draw(figure, results))
    later = FINALISTS + within_constraints(results, CONSTRAINTS) if assessed else ""
    return Picture("front", title(results), svg, CAPTION + later)


def title(results: Results) -> str:
    """What references have to say against the finalists, on all objectives at once."""
    number = results.fitness.num_objectives
    objectives = "both objectives" if number == 2 else f"all {number} objectives"
    tested = [finalist for finalist in results.finalists if finalist.complete("test")]
    if not tested or not any(reference.complete("test") for reference in results.references):
        return f"Scores of {len(results.scored)} candidates on {objectives}"
    held = len(unbeaten(results))
    if held == len(tested):
        return f"No reference beats {f'any of the {held} finalists' if held > 1 else 'the finalist'} on {objectives}"
    return f"No reference beats {held} of the {len(tested)} finalists on {objectives}"


def unbeaten(results: Results) -> list[Contender]:
    """Finalists that no reference beats on all objectives of the test split; who breaks constraints there is beaten."""
    tested = [one for one in (*results.references, *results.finalists) if one.complete("test")]
    worths = [results.worth(one, "test") for one in tested]
    losses = feasible_first([worth.losses for worth in worths], [worth.violations for worth in worths])
    rivals = [own for one, own in zip(tested, losses, strict=True) if one.kind == "reference"]
    return [
        one
        for one, own in zip(tested, losses, strict=True)
        if one.kind == "finalist" and not any(_dominates(rival, own) for rival in rivals)
    ]


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _draw(figure: Figure, results: Results) -> None:
    axes = figure.subplots()
    tested = [contender for contender in results.contenders.values() if contender.complete("test")]
    best, members = chosen(results), [member for member in results.front() if member in tested]
    references = [contender for contender in tested if contender.kind == "reference"]
    others = [contender for contender in tested if contender not in (*members, *references)]
    _scatter_candidates(axes, results)
    hollow = {"marker": "o", "markersize": 6, "color": style.FINALIST, "markerfacecolor": "white"}
    _mark(axes, results, others, "finalists (test items)", hollow)
    square = {"marker": "s", "markersize": 5.5, "color": style.REFERENCE}
    _mark(axes, results, references, "references (test items)", square)
    _mark(axes, results, members, "finalists on the front", {"marker": "o", "markersize": 6.5, "color": style.FINALIST})
    star = {"marker": "*", "markersize": 15, "color": style.BEST, "zorder": 5}
    _mark(axes, results, [contender for contender in tested if contender is best], "the chosen merge", star)
    across, up = results.fitness.objectives.names
    axes.set(xlabel=_axis(results, across), ylabel=_axis(results, up))
    figure.legend(loc="outside upper left", ncols=3, handletextpad=0.3, columnspacing=1.4)
    style.settle(figure)
    steps = _bound(axes, results, members)
    bars = [bar for contender in tested for bar in _bars(results, contender)]
    named = [one for one in tested if one is best or one in (*references, *members)]
    named.sort(key=lambda contender: (contender is not best, contender.kind == "finalist"))
    place(axes, [_label(results, contender) for contender in named], [*bars, *steps])


def _scatter_candidates(axes: Axes, results: Results) -> None:
    points = [results.fitness.objectives.from_losses(one.losses) for one in results.scored]
    across, up = zip(*points, strict=True)
    axes.plot(
        across, up, linestyle="", marker="o", markersize=3.2, markeredgewidth=0, color=style.CANDIDATE, alpha=0.75,
        label=f"{len(points)} candidates (search items)",
    )  # fmt: skip


def _mark(axes: Axes, results: Results, contenders: list[Contender], label: str, look: dict[str, Any]) -> None:
    if not contenders:
        return
    across, up = zip(*(results.values(contender, "test").values() for contender in contenders), strict=True)
    axes.errorbar(
        [one.value for one in across],
        [one.value for one in up],
        xerr=[one.stderr for one in across],
        yerr=[one.stderr for one in up],
        label=label,
        **{"linestyle": "", "elinewidth": 0.8, "zorder": 4, **look},
    )


def _bound(axes: Axes, results: Results, members: list[Contender]) -> list[Box]:
    """Draw the staircase that the members reach on test, and shade what lies behind it; gives the steps' extents."""
    objectives = results.fitness.objectives
    if not (losses := held_losses(results, members, "test")):
        return []
    reached = sorted({losses[index] for index in ranked(losses)[0]}, reverse=True)
    frame = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
    corners = (objectives.from_losses(corner) for corner in zip(*frame.values(), strict=True))  # its own inverse
    worst = tuple(max(ends) for ends in zip(*corners, strict=True))
    steps = [(worst[0], reached[0][1])]
    for here, after in zip(reached, [*reached[1:], worst], strict=True):
        steps += [(here[0], here[1]), (here[0], after[1])]
    line = [objectives.from_losses(step) for step in steps]
    axes.plot(*zip(*line, strict=True), color=style.FINALIST, linewidth=1.2, zorder=2.5)
    behind = [*line, objectives.from_losses(worst)]
    axes.fill(*zip(*behind, strict=True), color=style.FINALIST, alpha=0.07, linewidth=0, zorder=1)
    axes.set(**frame)
    return [_extent(here, after) for here, after in itertools.pairwise(line)]


def _label(results: Results, contender: Contender) -> Label:
    across, up = results.values(contender, "test").values()
    color = style.REFERENCE if contender.kind == "reference" else style.FINALIST
    color = style.BEST if contender is chosen(results) else color
    return Label(style.short(contender.name), across.value, up.value, color)


def _bars(results: Results, contender: Contender) -> list[Box]:
    """Extents of a contender's two error bars."""
    across, up = results.values(contender, "test").values()
    return [
        (across.value - across.stderr, up.value, across.value + across.stderr, up.value),
        (across.value, up.value - up.stderr, across.value, up.value + up.stderr),
    ]


def _extent(here: Sequence[float], after: Sequence[float]) -> Box:
    return min(here[0], after[0]), min(here[1], after[1]), max(here[0], after[0]), max(here[1], after[1])


def _axis(results: Results, name: str) -> str:
    direction = "higher" if results.fitness.objectives.higher_is_better[name] else "lower"
    return f"{name}: {words_of(results.fitness, name)} ({direction} is better)"
