"""Belief: what the search thought of its finalists, and what other items said."""

from __future__ import annotations

from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evomerge.fitness import Estimate
from evomerge.fitness.items import SPLITS
from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.labels import spread
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import of_objectives
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Each line is one finalist, scored three times: on the search items, which it was optimised on; on the "
    "selection items, by which one finalist was chosen; on the test items, which decided nothing. The more a line "
    "falls from left to right, the more the search fitted its items rather than the skill. Numbers name "
    "candidates. The bars of the chosen merge are one standard error."
)
_BEST = {"color": style.BEST, "linewidth": 2.2, "marker": "*", "markersize": 12, "zorder": 5}
_OTHER = {"color": style.FINALIST, "linewidth": 1.0, "marker": "o", "markersize": 4.5, "alpha": 0.8}
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
    verb = "lost" if gain < 0 else "gained"
    return f"From search to test items, the finalists {verb} {abs(gain):.3f} on average ({before:.3f} to {after:.3f})"


def _scores(results: Results, contender: Contender) -> dict[str, Estimate]:
    yardstick, objectives = of_objectives(results.fitness), results.fitness.objectives
    return {
        split: yardstick.mean(objectives.values(contender.estimates[split]))
        for split in SPLITS
        if contender.complete(split)
    }


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
    best = chosen(results)
    ends = []
    for contender in finalists:
        look = _BEST if contender is best else _OTHER
        scores = _scores(results, contender)
        _line(axes, scores, look, bars=contender is best)
        ends.append((contender.name, scores[max(scores, key=SPLITS.index)].value, look["color"]))
    items = results.fitness.items
    searched = results.fitness.spec.searched
    ticks = [
        f"{split} items ({sum(len(items(split)[label]) for label in searched)})\n{ROLES[split]}" for split in SPLITS
    ]
    axes.set_xticks(range(len(SPLITS)), ticks)
    axes.set(xlim=(-0.25, 2.6), ylabel=of_objectives(results.fitness).axis.replace(" (", "\n("))
    axes.grid(visible=False, axis="x")
    low, high = axes.get_ylim()
    heights = spread([height for _, height, _ in ends], gap=0.042 * (high - low), high=high)
    for (name, at, color), height in zip(ends, heights, strict=True):
        axes.plot([2.06, 2.14], [at, height], color=color, linewidth=0.5, alpha=0.7)
        axes.text(2.16, height, style.short(name), color=color, va="center", fontsize=8.5)


def _line(axes: Axes, scores: dict[str, Estimate], look: dict[str, object], *, bars: bool) -> None:
    axes.errorbar(
        [SPLITS.index(split) for split in scores],
        [score.value for score in scores.values()],
        yerr=[score.stderr for score in scores.values()] if bars else None,
        elinewidth=0.8,
        **look,  # type: ignore[arg-type]  # matplotlib's own keywords
    )
