"""The progress: what the search found over time, and what its finalists turned out to be worth."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evomerge.report import style
from evomerge.report.figures.clock import show_time
from evomerge.report.figures.picture import Picture, within_constraints
from evomerge.report.gap import candidate_of
from evomerge.report.verdict import chosen
from evomerge.report.yardstick import mean_of_objectives, of_objectives
from evomerge.runs.results import Contender, Results

CAPTION = (
    "Each pale dot is a candidate, in the order in which the search tried them, with its score on the search "
    "items. The stepped line is the best so far. The upper axis is the time since the run began."
)
CONSTRAINTS = (
    "It is about candidates that hold all constraints, as soon as there are any; before, it shows the one that breaks "
    "them least."
)
FINALISTS = (
    " Large markers show the finalists again, scored on test items that the search never saw, each joined to what "
    "the search believed of it: where the marker is worse than its dot, the search was too hopeful."
)


def progress(results: Results) -> Picture | None:
    """Scores over the number of candidates; None before anything was scored."""
    if not results.scored:
        return None
    caption = CAPTION + within_constraints(results, CONSTRAINTS)
    caption += FINALISTS if any(one.complete("test") for one in results.finalists) else ""
    svg = style.render("progress", 3.9, lambda figure: _draw(figure, results))
    return Picture("progress", _title(results), svg, caption + _failures(results))


def _failures(results: Results) -> str:
    number = sum(candidate.failure is not None for candidate in results.candidates)
    return f" Crosses on the axis: {number} that failed." if number else ""


def _believed(results: Results) -> dict[int, float]:
    """The mean of the objectives on the search split, by the number of every scored candidate."""
    return {one.number: mean_of_objectives(results, one).value for one in results.scored}


def _so_far(results: Results) -> dict[int, float]:
    """What was believed of the best up to and with every scored candidate."""
    believed = _believed(results)
    return {one.number: believed[best.number] for one, best in zip(results.scored, results.best_so_far, strict=True)}


def _title(results: Results) -> str:
    so_far = zip(_so_far(results).values(), results.best_so_far, strict=True)
    if not (best := [value for value, candidate in so_far if candidate.holds]):
        return f"None of {len(results.candidates)} candidates holds all constraints"
    verb = "rose" if of_objectives(results.fitness).higher_is_better else "fell"
    if best[0] == best[-1]:
        holding = " that holds all constraints" if results.fitness.spec.constraints else ""
        return f"No candidate of {len(results.candidates)} improved on the first{holding}, {best[0]:.3f}"
    change = f"{verb} from {best[0]:.3f} to {best[-1]:.3f}"
    return f"Over {len(results.candidates)} candidates, the best score on search items {change}"


def _draw(figure: Figure, results: Results) -> None:
    axes = figure.subplots()
    _candidates(axes, results)
    _finalists(axes, results)
    axes.set(xlabel="candidates tried", ylabel=of_objectives(results.fitness).axis.replace(" (", "\n("))
    axes.set_xlim(0, 1.03 * len(results.candidates) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_time(axes, results)
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
    believed = [_belief(results, finalist) for finalist in finalists]
    axes.vlines(places, believed, true, color=look["color"], linewidth=0.9, zorder=3)
    axes.plot(places, true, linestyle="", label=label, **look)


def _belief(results: Results, finalist: Contender) -> float:
    """What the search thought of a finalist; its test score where it never scored it."""
    candidate = candidate_of(results, finalist)
    return (
        mean_of_objectives(results, candidate) if candidate else mean_of_objectives(results, finalist, "test")
    ).value


def _place(finalist: Contender, results: Results) -> int:
    """When a finalist was tried; one that was no candidate stands at the end."""
    candidate = candidate_of(results, finalist)
    return (candidate.number if candidate else len(results.candidates)) + 1
