"""The gap: what the search believed of its finalists, and what items said on which nothing was optimised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.fitness import Estimate
from evomerge.fitness.items import SPLITS
from evomerge.report.verdict import CLEAR, chosen, shown
from evomerge.report.yardstick import mean_of_objectives, of_objectives
from evomerge.runs.results import Candidate, Contender, Results


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """One contender's mean of the objectives, as it was seen step by step.

    Attributes:
        contender: A finalist, or a reference, on which nothing was optimised: what it loses is the items' doing.
        believed: By the search, from the items that it asked. Its error is that of the search's estimate together with
            that of the search items as a sample of all such items. None for what the search never scored.
        scores: On all items of each split that it was scored on.
        loss: By how much test items say worse than the search believed; of a reference, worse than search items say.
            Both sides rest on different items, so that their errors are independent. None where one side is missing.
    """

    contender: Contender
    believed: Estimate | None
    scores: Mapping[str, Estimate]
    loss: Estimate | None


def gaps(results: Results) -> list[Gap]:
    """Of finalists, then of references, each in the order of the table of finalists: by their selection score."""
    found = [_gap(results, contender) for contender in (*results.finalists, *results.references)]
    return sorted(found, key=lambda gap: (gap.contender.kind, _rank(results, gap.contender)))


def candidate_of(results: Results, contender: Contender) -> Candidate | None:
    """The first candidate with a contender's recipe, if the search scored one."""
    return next((candidate for candidate in results.scored if candidate.digest == contender.digest), None)


def believed_of(results: Results, contender: Contender) -> Estimate | None:
    """What the search itself thought of a contender: the mean of the objectives (see `Gap.believed`)."""
    candidate = candidate_of(results, contender)
    if candidate is None:
        return None
    own = mean_of_objectives(results, candidate)
    if not contender.complete("search"):
        return own
    sample = mean_of_objectives(results, contender, "search")
    return Estimate(own.value, math.hypot(own.stderr, sample.stderr), own.num_items)


def in_words(results: Results) -> str | None:
    """What became of the chosen merge's score, in two sentences; None before it was tested."""
    best = chosen(results)
    if best is None or not best.complete("test"):
        return None
    gap = _gap(results, best)
    tried, among = len(results.scored), sum(one.complete("selection") for one in results.finalists)
    believed = (
        f"The search, which tried {tried} candidates, believed {shown(gap.believed)} of it"
        if gap.believed
        else f"The search tried {tried} candidates and never scored it itself"
    )
    later = f"selection items, on which it was chosen among {among} finalists, say {shown(gap.scores['selection'])}"
    text = f"{believed}; {later}; test items say {shown(gap.scores['test'])} ({of_objectives(results.fitness).name})."
    return f"{text} {_judged(gap.loss)}" if gap.loss else text


def _judged(loss: Estimate) -> str:
    side = "less" if loss.value >= 0 else "more"
    size = f"{abs(loss.value):.3f} ± {loss.stderr:.3f} {side} than was believed"
    if abs(loss.value) <= CLEAR * loss.stderr:
        return f"That is {size}: within two standard errors, no more than the luck of the items."
    return f"That is {size}."


def _gap(results: Results, contender: Contender) -> Gap:
    scores: dict[str, Estimate] = {
        split: mean_of_objectives(results, contender, split) for split in SPLITS if contender.complete(split)
    }
    believed = believed_of(results, contender) if contender.kind == "finalist" else scores.get("search")
    loss = None
    if believed and "test" in scores:
        worse_by = -of_objectives(results.fitness).gain(believed.value, scores["test"].value)
        loss = Estimate(worse_by, math.hypot(believed.stderr, scores["test"].stderr), scores["test"].num_items)
    return Gap(contender, believed, scores, loss)


def _rank(results: Results, contender: Contender) -> tuple[float, float]:
    return results.rank(contender, "selection") if contender.complete("selection") else (math.inf, math.inf)
