"""Advice: a forecast in plain sentences, each with its numbers, and what would be better spent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evomerge.foresight.forecast import Forecast, Plan

_FAR_OFF: Final = 2.0
_WORTH_IT: Final = 1.05
"""Less than 5 % more gain is within what a few measured candidates can tell."""


def sentences(found: Forecast) -> Iterator[str]:
    """All that a person should know before the search begins."""
    yield _basis(found)
    yield from _failures(found)
    yield from _constraints(found)
    yield _cost(found)
    for name in found.means:
        yield _separation(found, name)
        yield from _doubt(found, name)
        yield _promise(found, name)
        yield _proof(found, name)
    yield from _better_spent(found)


def _basis(found: Forecast) -> str:
    numbers = {f"{number}" for number in found.measured_items.values()}
    asked = "–".join(sorted(numbers, key=int)[:: max(1, len(numbers) - 1)])
    return (
        f"Measured: the first {found.num_measured} candidates of this search and its models, on {asked} search items "
        "of each task. So few candidates tell their spread within a factor of two at best."
    )


def _failures(found: Forecast) -> Iterator[str]:
    for name, reason in found.failures.items():
        yield f"{name} failed: {reason}"


def _constraints(found: Forecast) -> Iterator[str]:
    if found.num_feasible < found.num_measured:
        yield (
            f"Constraints: {found.num_feasible} of the {found.num_measured} measured candidates hold all of them; "
            "what follows does not know of them."
        )


def _cost(found: Forecast) -> str:
    chosen, workers = found.chosen, found.workers
    prospect, number = chosen.prospect, chosen.candidates
    most = "at most " if prospect.is_bound else ""
    tokens = f" and {number * prospect.tokens:,.0f} tokens" if prospect.tokens else ""
    before = f", of which the models take {duration(prospect.models_s / workers)}" if prospect.models_s else ""
    share = prospect.merge_s / prospect.seconds if prospect.seconds else 0.0
    return (
        f"Cost: {number} candidates take {most}{duration(found.search_s / workers)} on {workers} "
        f"worker{'s' if workers > 1 else ''}{before}; {share:.0%} of a candidate's time is merging. They give "
        f"{most}{number * prospect.items:,.0f} answers{tokens}. The finals take {duration(found.finals_s / workers)} "
        f"more, for {found.finals_items:,} answers."
    )


def _separation(found: Forecast, name: str) -> str:
    precision = found.chosen.prospect.precision[name]
    return (
        f"{name}: two candidates are told apart (80 % power, 5 % level) where they truly differ by "
        f"{precision.paired:.3f}, on common items; were each asked items of its own, by {precision.unpaired:.3f}."
    )


def _promise(found: Forecast, name: str) -> str:
    chosen, sd = found.chosen, found.true_sd[name]
    noise = chosen.prospect.precision[name].noise
    if not sd:
        return f"{name}: the measured candidates differ by no more than their noise ({noise:.3f})."
    return (
        f"{name}: candidates truly vary by {sd:.3f} (standard deviation) around {found.means[name]:.3f}, and a score "
        f"errs by {noise:.3f}. The best of {chosen.candidates} drawn alike is expected {chosen.gain[name]:.3f} better "
        f"than the mean, and looks {chosen.optimism[name]:.3f} better than it is."
    )


def _doubt(found: Forecast, name: str) -> Iterator[str]:
    """Estimates that are further off than they say; with five candidates the bound is passed by chance once in 300."""
    precision = found.chosen.prospect.precision[name]
    if precision.seen > _FAR_OFF * precision.stated > 0:
        yield (
            f"{name}: estimates say that they err by {precision.stated:.3f}, and erred by {precision.seen:.3f}. "
            "The models do not lead one to expect what the candidates answer; ask more items, or raise `widening`."
        )


def _proof(found: Forecast, name: str) -> str:
    model, value = found.models[name]
    lead, least = found.lead[name], found.provable[name]
    model_is = f"{name}: the best model is {model} with {value:.3f}"
    if lead <= 0:
        return (
            f"{model_is}, {-lead:.3f} ahead of what the best of {found.chosen.candidates} drawn alike is expected to "
            "be; only a search that learns may pass it."
        )
    shows = f"{model_is}. The test split shows a lead of {least:.3f} or more over it (80 % power), and {lead:.3f} is"
    if lead >= least:
        return f"{shows} expected: its items are enough."
    return f"{shows} expected: to show that, it needs {(least / lead) ** 2:.1f} times its items."


def _better_spent(found: Forecast) -> Iterator[str]:
    chosen = found.chosen
    best = max(found.plans, key=lambda plan: plan.mean_gain)
    if chosen.mean_gain == 0:
        yield "Better spent: no design is better while no spread is seen; widen the space, or raise items.search."
    elif best.mean_gain > _WORTH_IT * chosen.mean_gain:
        yield (
            f'Better spent: "{best.prospect.name}" asks {best.prospect.items:.0f} answers of a candidate instead of '
            f"{chosen.prospect.items:.0f}, so the same time pays {best.candidates} candidates instead of "
            f"{chosen.candidates}; the best is then expected {best.mean_gain:.3f} above the mean instead of "
            f"{chosen.mean_gain:.3f}."
        )
    else:
        yield "Better spent: no other design that was tried is expected to win 5 % more in the same time."
    yield from _balance(chosen)
    if found.finals_s > found.search_s / 2:
        yield (
            f"The finals cost {found.finals_s / found.search_s:.0%} of the search: fewer finalists, or lower caps of "
            "items.selection and items.test, leave more for candidates."
        )


def _balance(chosen: Plan) -> Iterator[str]:
    """Whether more candidates or more items would help more."""
    prospect = chosen.prospect
    if prospect.merge_s > 2 * prospect.score_s:
        yield (
            f"Merging takes {prospect.merge_s / prospect.seconds:.0%} of the time: twice the items cost only "
            f"{prospect.score_s / prospect.seconds:.0%} more."
        )


def duration(seconds: float) -> str:
    """For people: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
