"""The convergence: how the front grew over the run, how far it reaches and how evenly it is filled."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evomerge.report import style
from evomerge.report.figures.clock import show_time
from evomerge.report.figures.picture import Picture, within_constraints
from evomerge.report.volumes import Volume, volumes
from evomerge.runs.front import Shape, point_in_words, reference_point, shapes
from evomerge.runs.results import Results

CAPTION = (
    "Top: hypervolume, the size of the space between the worst corner ({corner}) and perfect scores that is reached "
    "or surpassed; it grows when the front moves in any direction. The line is what the search believes on search "
    "items, where a lucky score counts for good. {later}Middle: extent, the diagonal of the box that the front fills, "
    "and spacing, how much the distances between neighbours on it differ (0 is even); both in units of the objectives. "
    "Bottom: distinct models on the front."
)
CONSTRAINTS = "Models that break a constraint are on no front and reach nothing."
LATER = (
    "The marks at the right are the finalists on selection items and, of these, the front that was found there on test "
    "items, with one standard error; the dotted line is what the references reach on test items without any merging. "
)


def convergence(results: Results) -> Picture | None:
    """The shape of the front over the number of candidates; None for one objective, or before anything was scored."""
    known = volumes(results)
    if not known:
        return None
    point = reference_point(results)
    over_run = shapes([one.losses if one.holds else None for one in results.scored], point)
    caption = CAPTION.format(corner=point_in_words(results, point), later=LATER if len(known) > 1 else "")
    svg = style.render("convergence", 5.6, lambda figure: _draw(figure, results, over_run, known))
    caption += within_constraints(results, CONSTRAINTS)
    return Picture("convergence", _title(over_run, known), svg, caption)


def _title(over_run: list[Shape], known: list[Volume]) -> str:
    title = f"The front's hypervolume grew from {over_run[0].volume:.3f} to {over_run[-1].volume:.3f} on search items"
    tested = [volume for volume in known if volume.items == "test" and "references" not in volume.who]
    return f"{title}; test items confirm {tested[0].shape.volume:.3f}" if tested else title


def _draw(figure: Figure, results: Results, over_run: list[Shape], known: list[Volume]) -> None:
    panels: list[Axes] = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1.5, 1]).tolist()
    tried = [candidate.number + 1 for candidate in results.scored]
    top, middle, bottom = panels
    top.step(tried, [shape.volume for shape in over_run], where="post", color=style.INK, linewidth=1.3)
    _assessed(top, len(results.candidates), known)
    top.set_ylabel("hypervolume")
    middle.step(tried, [shape.extent for shape in over_run], where="post", color=style.SERIES[0], label="extent")
    even = [math.nan if shape.spacing is None else shape.spacing for shape in over_run]
    middle.step(tried, even, where="post", color=style.SERIES[1], linestyle=(0, (4, 1.5)), label="spacing")
    middle.set_ylim(bottom=0)
    middle.set_ylabel("in units of\nthe objectives")
    middle.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    bottom.step(tried, [shape.size for shape in over_run], where="post", color=style.SERIES[2], linewidth=1.3)
    bottom.set_ylim(bottom=0)
    bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    bottom.set_ylabel("models on\nthe front")
    bottom.set_xlabel("candidates tried")
    bottom.set_xlim(0, 1.1 * len(results.candidates) + 1)
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_time(top, results)


def _assessed(axes: Axes, number: int, known: list[Volume]) -> None:
    """What other items say, at the end of the search."""
    axes.plot([], [], color=style.INK, linewidth=1.3, label="search items,\nas believed")
    looks = {"selection": (style.FINALIST, "o"), "test": (style.BEST, "D")}
    for place, volume in enumerate(known[1:], start=1):
        if "references" in volume.who:
            axes.axhline(volume.shape.volume, color=style.REFERENCE, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
            axes.plot(
                [], [], color=style.REFERENCE, linewidth=0.9, linestyle=(0, (1, 2)), label="references,\ntest items"
            )
            continue
        color, marker = looks[volume.items]
        at = number * (1 + 0.025 * place)
        label = "finalists,\nselection items" if volume.items == "selection" else "their front,\ntest items"
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 5.5, "linestyle": ""}
        axes.errorbar(at, volume.shape.volume, volume.stderr, label=label, **look)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.7)
