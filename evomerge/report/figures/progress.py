"""The progress: what the search found over time, and what its finalists turned out to be worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pymoo.indicators.hv import HV

from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import mean_of_objectives, of_objectives
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Each pale dot is a candidate, in the order in which the search tried them, with its score on the search "
    "items. The stepped line is the best so far."
)
FINALISTS = (
    " Large markers show the finalists again, scored on test items that the search never saw, each joined to what "
    "the search believed of it: where the marker is worse than its dot, the search was too hopeful."
)
VOLUME = (
    " Below: the hypervolume, which measures how much of the space between the worst corner ({corner}) and "
    "perfect scores is reached or surpassed by the candidates so far; it grows when the front moves in any "
    "direction."
)
Losses = tuple[float, ...]


def progress(results: Results) -> Picture | None:
    """Scores over the number of candidates; None before anything was scored."""
    if not results.scored:
        return None
    several = results.fitness.num_objectives > 1
    caption = CAPTION + (FINALISTS if any(one.complete("test") for one in results.finalists) else "")
    caption += (VOLUME.format(corner=_corner(results)) if several else "") + _failures(results)
    svg = style.render("progress", 5.6 if several else 3.9, lambda figure: _draw(figure, results))
    return Picture("progress", _title(results), svg, caption)


def hypervolumes(losses: Sequence[Losses], reference: Losses) -> list[float]:
    """Hypervolume of every beginning of a sequence (Zitzler and Thiele 1999), exact.

    Args:
        losses: In order.
        reference: Its worst corner.
    """
    measure = HV(ref_point=np.array(reference))
    front: list[Losses] = []
    volumes: list[float] = []
    for one in losses:
        if not any(all(a <= b for a, b in zip(other, one, strict=True)) for other in front):
            front = [other for other in front if not all(a <= b for a, b in zip(one, other, strict=True))] + [one]
            volumes.append(float(measure(np.array(front))))
        else:
            volumes.append(volumes[-1])
    return volumes


def reference_point(results: Results) -> Losses:
    """Loss 1 on every objective, or the worst seen where that is larger."""
    return tuple(max(1.0, *column) for column in zip(*(one.losses for one in results.scored), strict=True))


def _corner(results: Results) -> str:
    point = reference_point(results)
    if all(loss == 1 for loss in point):
        return "loss 1, that is score 0, on every objective"
    names = results.fitness.objectives.names
    return "the larger of loss 1 and the worst seen: " + ", ".join(
        f"{n} {p:.3g}" for n, p in zip(names, point, strict=True)
    )


def _failures(results: Results) -> str:
    number = sum(candidate.failure is not None for candidate in results.candidates)
    return f" Crosses on the axis: {number} that failed." if number else ""


def _believed(results: Results) -> dict[int, float]:
    """The mean of the objectives on the search split, by the number of every scored candidate."""
    return {one.number: mean_of_objectives(results, one).value for one in results.scored}


def _so_far(results: Results) -> dict[int, float]:
    """The best of `_believed` up to and with every scored candidate."""
    believed = _believed(results)
    best = np.maximum if of_objectives(results.fitness).higher_is_better else np.minimum
    return dict(zip(believed, best.accumulate(list(believed.values())).tolist(), strict=True))


def _title(results: Results) -> str:
    best = list(_so_far(results).values())
    verb = "rose" if of_objectives(results.fitness).higher_is_better else "fell"
    if best[0] == best[-1]:
        return f"No candidate of {len(results.candidates)} improved on the first, {best[0]:.3f}"
    change = f"{verb} from {best[0]:.3f} to {best[-1]:.3f}"
    return f"Over {len(results.candidates)} candidates, the best score on search items {change}"


def _draw(figure: Figure, results: Results) -> None:
    several = results.fitness.num_objectives > 1
    heights = [2.4, 1] if several else [1]
    panels: list[Axes] = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
        :, 0
    ].tolist()
    _candidates(panels[0], results)
    _finalists(panels[0], results)
    panels[0].set_ylabel(of_objectives(results.fitness).axis.replace(" (", "\n("))
    if several:
        volumes = hypervolumes([one.losses for one in results.scored], reference_point(results))
        tried = [one.number + 1 for one in results.scored]
        panels[1].step(tried, volumes, where="post", color=style.INK, linewidth=1.3)
        panels[1].set_ylabel("hypervolume\nso far")
    panels[-1].set_xlabel("candidates tried")
    panels[-1].set_xlim(0, 1.03 * len(results.candidates) + 1)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.4)


def _candidates(axes: Axes, results: Results) -> None:
    believed, best = _believed(results), _so_far(results)
    tried = [number + 1 for number in believed]
    dots: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.2, "markeredgewidth": 0, "alpha": 0.75}
    axes.plot(tried, list(believed.values()), color=style.CANDIDATE, label="candidates (search items)", **dots)
    label = "best so far (search items)"
    axes.step(tried, list(best.values()), where="post", color=style.INK, linewidth=1.3, label=label)
    failed = [candidate.number + 1 for candidate in results.candidates if candidate.failure is not None]
    if failed:
        foot, on_axis = [0.0] * len(failed), axes.get_xaxis_transform()
        axes.plot(
            failed, foot, "x", transform=on_axis, clip_on=False, color=style.REFERENCE, markersize=5, label="failed"
        )


def _finalists(axes: Axes, results: Results) -> None:
    best, tested = chosen(results), [finalist for finalist in results.finalists if finalist.complete("test")]
    others, stars = [one for one in tested if one is not best], [one for one in tested if one is best]
    round_ = {"marker": "o", "markersize": 5.5, "color": style.FINALIST, "zorder": 4}
    _hang(axes, results, others, "finalists (test items)", round_)
    star = {"marker": "*", "markersize": 13, "color": style.BEST, "zorder": 5}
    _hang(axes, results, stars, "the chosen merge (test items)", star)


def _hang(axes: Axes, results: Results, finalists: list[Contender], label: str, look: dict[str, Any]) -> None:
    """Mark test scores, each on a line from what the search believed."""
    if not finalists:
        return
    places = [_place(finalist, results) for finalist in finalists]
    true = [mean_of_objectives(results, finalist, "test").value for finalist in finalists]
    believed = [
        mean_of_objectives(results, finalist, "search" if finalist.complete("search") else "test").value
        for finalist in finalists
    ]
    axes.vlines(places, believed, true, color=look["color"], linewidth=0.9, zorder=3)
    axes.plot(places, true, linestyle="", label=label, **look)


def _place(finalist: Contender, results: Results) -> int:
    """When a finalist was tried; one that was no candidate stands at the end."""
    tried = (candidate.number for candidate in results.scored if candidate.digest == finalist.digest)
    return next(tried, len(results.candidates)) + 1
