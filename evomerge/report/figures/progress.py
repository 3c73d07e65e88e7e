"""The progress: what the search found over time, and what its finalists turned out to be worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pymoo.indicators.hv import HV

from evomerge.fitness import Estimate
from evomerge.report import style
from evomerge.report.figures.picture import Picture
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import of_objectives
from evomerge.runs.results import Candidate, Contender, Results

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
    caption = CAPTION + (FINALISTS if _best_last(results) else "")
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


def _believed(results: Results) -> dict[int, Estimate]:
    """The mean of the objectives on the search split, by the number of every scored candidate."""
    yardstick, objectives = of_objectives(results.fitness), results.fitness.objectives
    return {one.number: yardstick.mean(objectives.values(one.estimates)) for one in results.scored}


def _so_far(results: Results) -> dict[int, float]:
    """The best of `_believed` up to and with every scored candidate."""
    believed = _believed(results)
    values = np.array([estimate.value for estimate in believed.values()])
    best = np.maximum if of_objectives(results.fitness).higher_is_better else np.minimum
    return dict(zip(believed, best.accumulate(values).tolist(), strict=True))


def _title(results: Results) -> str:
    best = list(_so_far(results).values())
    verb = "rose" if of_objectives(results.fitness).higher_is_better else "fell"
    if best[0] == best[-1]:
        return f"No candidate of {len(results.candidates)} improved on the first, {best[0]:.3f}"
    change = f"{verb} from {best[0]:.3f} to {best[-1]:.3f}"
    return f"Over {len(results.candidates)} candidates, the best score on search items {change}"


def _draw(figure: Figure, results: Results) -> None:
    several = results.fitness.num_objectives > 1
    panels = figure.subplots(
        2 if several else 1, 1, sharex=True, squeeze=False, height_ratios=[2.4, 1] if several else [1]
    )
    scores: Axes = panels[0, 0]
    _candidates(scores, results)
    _finalists(scores, results)
    scores.set_ylabel(_wrapped(of_objectives(results.fitness).axis))
    if several:
        volume: Axes = panels[1, 0]
        volumes = hypervolumes([one.losses for one in results.scored], reference_point(results))
        volume.step([one.number + 1 for one in results.scored], volumes, where="post", color=style.INK, linewidth=1.3)
        volume.set_ylabel("hypervolume\nso far")
    last: Axes = panels[-1, 0]
    last.set_xlabel("candidates tried")
    last.set_xlim(0, 1.03 * len(results.candidates) + 1)
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(
        *scores.get_legend_handles_labels(), loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.4
    )


def _candidates(axes: Axes, results: Results) -> None:
    believed, best = _believed(results), _so_far(results)
    axes.plot(
        [number + 1 for number in believed], [one.value for one in believed.values()], linestyle="", marker="o",
        markersize=3.2, markeredgewidth=0, color=style.CANDIDATE, alpha=0.75, label="candidates (search items)",
    )  # fmt: skip
    axes.step(
        [number + 1 for number in best], list(best.values()), where="post", color=style.INK, linewidth=1.3,
        label="best so far (search items)",
    )  # fmt: skip
    failed = [candidate.number + 1 for candidate in results.candidates if candidate.failure is not None]
    if failed:
        axes.plot(
            failed, [0.0] * len(failed), "x", color=style.REFERENCE, markersize=5, clip_on=False, label="failed",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def _finalists(axes: Axes, results: Results) -> None:
    yardstick, objectives = of_objectives(results.fitness), results.fitness.objectives
    first = {candidate.digest: candidate for candidate in reversed(results.scored)}
    for contender in _best_last(results):
        true = yardstick.mean(objectives.values(contender.estimates["test"]))
        at, believed = _where(contender, first.get(contender.digest), results)
        is_best = contender is chosen(results)
        color, marker, size = (style.BEST, "*", 13) if is_best else (style.FINALIST, "o", 5.5)
        if believed is not None:
            axes.plot([at, at], [believed, true.value], color=color, linewidth=0.9, zorder=3)
        label = "the chosen merge (test items)" if is_best else "finalists (test items)"
        known = axes.get_legend_handles_labels()[1]
        axes.errorbar(
            at, true.value, marker=marker, markersize=size, color=color, zorder=5 if is_best else 4, linestyle="",
            label=label if label not in known else None,
        )  # fmt: skip


def _where(contender: Contender, candidate: Candidate | None, results: Results) -> tuple[int, float | None]:
    """The place of a finalist, and what the search believed of it; one that was no candidate stands at the end."""
    yardstick, objectives = of_objectives(results.fitness), results.fitness.objectives
    if candidate is not None:
        return candidate.number + 1, yardstick.mean(objectives.values(candidate.estimates)).value
    seen = contender.estimates["search"] if contender.complete("search") else None
    return len(results.candidates) + 1, yardstick.mean(objectives.values(seen)).value if seen else None


def _best_last(results: Results) -> list[Contender]:
    on_test = [finalist for finalist in results.finalists if finalist.complete("test")]
    return sorted(on_test, key=lambda finalist: finalist is chosen(results))


def _wrapped(text: str) -> str:
    return text.replace(" (", "\n(")
