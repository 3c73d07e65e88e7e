"""Belief: what the search thought of its finalists, and what other items said."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evomerge.fitness import Estimate
from evomerge.fitness.items import SPLITS
from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.labels import spread
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import mean_of_objectives, of_objectives
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Each line is one finalist, scored three times: on the search items, which it was optimised on; on the "
    "selection items, by which one finalist was chosen; on the test items, which decided nothing. The more a line "
    "falls from left to right, the more the search fitted its items rather than the skill. Numbers name "
    "candidates. The bars of the chosen merge are one standard error."
)
_BEST: dict[str, Any] = {"color": style.BEST, "linewidth": 2.2, "marker": "*", "markersize": 12, "zorder": 5}
_OTHER: dict[str, Any] = {"color": style.FINALIST, "linewidth": 1.0, "marker": "o", "markersize": 4.5, "alpha": 0.8}
ROLES = {"search": "optimised on", "selection": "chosen on", "test": "decided nothing"}


def belief(results: Results) -> Picture | None:
    """The mean of the objectives on the three splits; None before any finalist was scored on two of them."""
    finalists = [one for one in results.finalists if sum(one.complete(split) for split in SPLITS) > 1]
    if not finalists:
        return None
    svg = style.render("belief", 4.2, lambda figure: _draw(figure, results, finalists))
    return Picture("belief", _title(results, finalists), svg, CAPTION + _difficulty(results))


def _title(results: Results, finalists: list[Contender]) -> str:
    both = [_scores(results, one) for one in finalists if one.complete("search") and one.complete("test")]
    if not both:
        return "What the search believed of its finalists, and what other items say"
    before, after = (fmean(scores[split].value for scores in both) for split in ("search", "test"))
    gain = of_objectives(results.fitness).gain(before, after)
    if abs(gain) < 0.0005:
        return f"On search and test items, the finalists score alike on average ({before:.3f} and {after:.3f})"
    verb = "lost" if gain < 0 else "gained"
    return f"From search to test items, the finalists {verb} {abs(gain):.3f} on average ({before:.3f} to {after:.3f})"


def _scores(results: Results, contender: Contender) -> dict[str, Estimate]:
    complete = [split for split in SPLITS if contender.complete(split)]
    return {split: mean_of_objectives(results, contender, split) for split in complete}


def _difficulty(results: Results) -> str:
    """How a model that nobody optimised does on the three splits: they differ in difficulty, too."""
    rivals = [reference for reference in results.references if all(reference.complete(split) for split in SPLITS)]
    if not rivals:
        return ""
    strongest = min(rivals, key=lambda rival: results.mean_loss(rival, "test"))
    values = ", ".join(f"{score.value:.3f} on {split}" for split, score in _scores(results, strongest).items())
    return f" The items differ in difficulty, too: the strongest reference, {strongest.name}, has {values}."


def _draw(figure: Figure, results: Results, finalists: list[Contender]) -> None:
    axes = figure.subplots()
    fitness, best = results.fitness, chosen(results)
    for contender in finalists:
        scores = _scores(results, contender)
        places, values = [SPLITS.index(split) for split in scores], [score.value for score in scores.values()]
        axes.plot(places, values, **(_BEST if contender is best else _OTHER))
        if contender is best:
            bars = [score.stderr for score in scores.values()]
            axes.errorbar(places, values, bars, linestyle="", color=style.BEST, elinewidth=0.8)
    items = {split: sum(len(fitness.items(split)[label]) for label in fitness.spec.searched) for split in SPLITS}
    axes.set_xticks(range(len(SPLITS)), [f"{split} items ({items[split]})\n{ROLES[split]}" for split in SPLITS])
    axes.set(xlim=(-0.25, 2.6), ylabel=of_objectives(fitness).axis.replace(" (", "\n("))
    axes.grid(visible=False, axis="x")
    _name(axes, results, finalists)


def _name(axes: Axes, results: Results, finalists: list[Contender]) -> None:
    """Write the names to the right of the lines' ends."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)  # names and their lines do not move it
    ends = [list(_scores(results, finalist).items())[-1] for finalist in finalists]
    heights = spread([score.value for _, score in ends], gap=0.042 * (high - low), high=high)
    for finalist, (split, score), height in zip(finalists, ends, heights, strict=True):
        color = style.BEST if finalist is chosen(results) else style.FINALIST
        axes.plot([SPLITS.index(split) + 0.06, 2.14], [score.value, height], color=color, linewidth=0.5, alpha=0.7)
        axes.text(2.16, height, style.short(finalist.name), color=color, va="center", fontsize=8.5)
