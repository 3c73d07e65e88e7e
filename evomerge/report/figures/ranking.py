"""The ranking: every finalist and reference on one scale, from the best to the worst."""

from __future__ import annotations

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


def ranking(results: Results) -> Picture | None:
    """Mean of all tasks on the test split; None before anything was scored there."""
    shown = [contender for contender in results.contenders.values() if contender.complete("test")]
    if not shown:
        return None
    yardstick, counts = of_tasks(results.fitness), [len(results.finalists), len(results.references)]
    title = f"Scores on test items: {yardstick.name}, of {counts[0]} finalists and {counts[1]} references"
    height_in = 1.0 + _ROW_IN * len(shown)
    return Picture(
        "ranking", title, style.render("ranking", height_in, lambda fig: _draw(fig, results, shown)), CAPTION
    )


def _draw(figure: Figure, results: Results, shown: list[Contender]) -> None:
    yardstick, best = of_tasks(results.fitness), chosen(results)
    axes = figure.subplots()
    means = {contender.name: yardstick.mean(contender.estimates["test"]) for contender in shown}
    ordered = sorted(shown, key=lambda contender: yardstick.gain(0.0, means[contender.name].value))
    for row, contender in enumerate(ordered):
        marker, size, color = _look(contender, contender is best)
        mean = means[contender.name]
        axes.errorbar(
            mean.value,
            row,
            xerr=mean.stderr,
            marker=marker,
            markersize=size,
            color=color,
            elinewidth=1.1,
            clip_on=False,
        )
    rivals = [row for row, contender in enumerate(ordered) if contender.kind == "reference"]
    if rivals:
        strongest = means[ordered[rivals[-1]].name].value
        axes.axvline(strongest, color=style.REFERENCE, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
    axes.set_yticks(range(len(ordered)), [style.clipped(one.name, 30) for one in ordered])
    for label, contender in zip(axes.get_yticklabels(), ordered, strict=True):
        label.set_color(_look(contender, contender is best)[2])
    axes.set_ylim(-0.7, len(ordered) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{yardstick.axis}, on test items")


def _look(contender: Contender, is_best: bool) -> tuple[str, float, str]:
    if is_best:
        return "*", 13, style.BEST
    return ("s", 5.5, style.REFERENCE) if contender.kind == "reference" else ("o", 6, style.FINALIST)
