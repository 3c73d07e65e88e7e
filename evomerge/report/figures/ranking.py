"""The ranking: every finalist and reference on one scale, from the best to the worst."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import of_tasks
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Each row is one model, the best on top; its bar is one standard error. Blue: merges that the search put "
    "forward; “favourite” is where the optimiser believes the optimum to be. Dark squares: the references, that "
    "is each model alone and (uniform) the plain average of the experts. The star is the merge that was chosen, "
    "on other items than these. The dotted line marks the strongest reference."
)
_ROW_IN = 0.235
_BEST: dict[str, Any] = {"marker": "*", "markersize": 13, "color": style.BEST}
_LOOKS: dict[str, dict[str, Any]] = {
    "finalist": {"marker": "o", "markersize": 6, "color": style.FINALIST},
    "reference": {"marker": "s", "markersize": 5.5, "color": style.REFERENCE},
}


def ranking(results: Results) -> Picture | None:
    """Mean of all tasks on the test split; None before anything was scored there."""
    shown = [contender for contender in results.contenders.values() if contender.complete("test")]
    if not shown:
        return None
    yardstick, counts = of_tasks(results.fitness), [len(results.finalists), len(results.references)]
    title = f"Scores on test items: {yardstick.name}, of {counts[0]} finalists and {counts[1]} references"
    svg = style.render("ranking", 1.0 + _ROW_IN * len(shown), lambda figure: _draw(figure, results, shown))
    return Picture("ranking", title, svg, CAPTION)


def _draw(figure: Figure, results: Results, shown: list[Contender]) -> None:
    yardstick, best = of_tasks(results.fitness), chosen(results)
    axes = figure.subplots()
    means = {contender: yardstick.mean(contender.estimates["test"]) for contender in shown}
    ordered = sorted(shown, key=lambda contender: yardstick.gain(0.0, means[contender].value))
    axes.set_yticks(range(len(ordered)), [style.clipped(contender.name, 30) for contender in ordered])
    for row, (contender, label) in enumerate(zip(ordered, axes.get_yticklabels(), strict=True)):
        look = _BEST if contender is best else _LOOKS[contender.kind]
        axes.errorbar(means[contender].value, row, xerr=means[contender].stderr, elinewidth=1.1, **look)
        label.set_color(look["color"])
    rivals = [contender for contender in ordered if contender.kind == "reference"]
    if rivals:
        axes.axvline(means[rivals[-1]].value, color=style.REFERENCE, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{yardstick.axis}, on test items")
