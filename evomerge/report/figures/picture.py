"""A picture: a figure as SVG with the words that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from evomerge.runs.results import Results


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure of a report.

    Attributes:
        name: Unique in the report.
        title: What it shows or what was found.
        svg: The drawing.
        caption: How to read it, in plain words.
    """

    name: str
    title: str
    svg: str
    caption: str


def regardless(results: Results) -> str:
    """A sentence for captions of curves over all candidates; empty where there are no constraints."""
    return " Candidates that break a constraint count, too." if results.fitness.spec.constraints else ""
