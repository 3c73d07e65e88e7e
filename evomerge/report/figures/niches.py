"""The niches: what finalists solve together, beside what each solves alone."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evomerge.report import style
from evomerge.report.coverage import Coverage, coverage
from evomerge.report.figures.picture import Picture
from evomerge.runs.results import Results

CAPTION = (
    "Shares of test items. Diamonds: items that at least one finalist solves, which no single merge need reach; "
    "squares: items that at least one of the models alone, or their plain average, solves. The further a diamond lies "
    "to the right of the best finalist, the more the finalists know different things. The number behind each row is "
    "the entropy of who solves what: 0 where all finalists solve the same items, 1 bit where every item splits them "
    "in halves."
)
_ROW_IN = 0.42
_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "references": ("any reference", {"color": style.REFERENCE, "marker": "s", "markersize": 6}),
    "finalists": (
        "any finalist",
        {"color": style.FINALIST, "marker": "D", "markersize": 7, "markerfacecolor": "white"},
    ),
    "best": ("the best finalist of the task", {"color": style.FINALIST, "marker": "o", "markersize": 6}),
    "chosen": ("the chosen merge", {"color": style.BEST, "marker": "*", "markersize": 13}),
}


def niches(results: Results) -> Picture | None:
    """Coverage by task; None where no task has items that are solved or not, or before the test."""
    found = coverage(results)
    if not found:
        return None
    svg = style.render("niches", 1.25 + _ROW_IN * len(found), lambda figure: _draw(figure, found))
    return Picture("niches", _title(found), svg, CAPTION)


def _title(found: list[Coverage]) -> str:
    widest = max(found, key=lambda one: one.finalists - one.best)
    return (
        f"Together the finalists solve {widest.finalists:.0%} of {widest.task}, "
        f"where the best of them solves {widest.best:.0%}"
    )


def _draw(figure: Figure, found: list[Coverage]) -> None:
    axes: Axes = figure.subplots()
    heights = list(range(len(found)))[::-1]
    for height, one in zip(heights, found, strict=True):
        axes.hlines(height, one.chosen, one.finalists, color=style.FAINT, linewidth=2.5, zorder=1)
        axes.text(1.03, height, f"{one.entropy:.2f} bit", va="center", fontsize=8.5, color=style.MUTED)
    for name, (label, look) in _LOOKS.items():
        known = [(getattr(one, name), height) for one, height in zip(found, heights, strict=True)]
        points = [(share, height) for share, height in known if share is not None]
        if points:
            axes.plot(*zip(*points, strict=True), linestyle="", label=label, zorder=3, **look)
    axes.set_yticks(heights, [style.clipped(f"{one.task} ({one.num_items})", 30) for one in found])
    axes.set(xlim=(0, 1.01), ylim=(-0.6, len(found) - 0.4), xlabel="share of test items solved")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=style.INK)
    figure.legend(loc="outside upper left", ncols=4, handletextpad=0.3, columnspacing=1.2)
