"""The summary: what a run did and how it went, counted."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from evomerge.fitness.items import SPLITS
from evomerge.report.verdict import listed
from evomerge.runs.results import Results

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Failures:
    """Candidates that failed for the same reason, but for the numbers in it.

    Attributes:
        reason: As the first of them reported it.
        numbers: The candidates.
    """

    reason: str
    numbers: tuple[int, ...]


def failures(results: Results) -> list[Failures]:
    """Failed candidates by reason, the most frequent first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for candidate in results.candidates:
        if candidate.failure is not None:
            groups[_NUMBER.sub("0", candidate.failure)].append(candidate.number)
    grouped = [Failures(results.candidates[numbers[0]].failure or "", tuple(numbers)) for numbers in groups.values()]
    return sorted(grouped, key=lambda group: -len(group.numbers))


def status(results: Results, budget: int) -> str:
    """Where the run stands, in one sentence."""
    told = sum(bool(candidate.losses) for candidate in results.candidates)
    if results.finished is not None:
        return f"Complete: {results.finished}."
    if told < budget:
        return f"Not complete: {told} of {budget} candidates scored. The search is going on, or was stopped."
    return "Not complete: the search is done; its finalists are being scored on unseen items, or the run was stopped."


def facts(results: Results, budget: int) -> dict[str, str]:
    """Counts and times, by what they are."""
    tried, failed = results.candidates, [one for one in results.candidates if one.failure is not None]
    twins = [one for one in tried if one.twin is not None]
    flying = [one for one in tried if not one.losses]
    own_s = sum(one.seconds for one in results.scored if one.twin is None)
    scored = len(results.scored) - len(twins)
    found = {
        "candidates tried": f"{len(tried)} of {budget}",
        "failed": str(len(failed)),
        "duplicates": f"{len(twins)} (same recipe as an earlier one; not scored again)" if twins else "0",
        "in flight": str(len(flying)) if flying and results.finished is None else "",
        "time": f"{duration(results.seconds)} from the first event to the last",
        "per candidate": f"{duration(own_s / scored)} to merge and score" if scored else "",
        "finalists": str(len(results.finalists)) if results.finalists else "",
    }
    return {name: text for name, text in found.items() if text}


def missing(results: Results) -> list[str]:
    """What the report cannot show yet, and why."""
    if not results.candidates:
        return ["No candidate has been tried yet."]
    if not results.scored and all(one.failure is not None for one in results.candidates):
        return ["Every candidate failed; the reasons are below. There is nothing to compare."]
    if not results.scored:
        return ["No candidate has been scored yet."]
    if not results.finalists:
        return ["No finalist has been scored on unseen items yet: all that follows is what the search believes."]
    return [
        f"{contender.name} has no scores on the {listed(gaps)} items: it failed there, or is still to be scored."
        for contender in results.contenders.values()
        if (gaps := [split for split in SPLITS if not contender.complete(split)])
    ]


def duration(seconds: float) -> str:
    """A time span as people say it, to two units."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
