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


def within_constraints(results: Results, sentence: str) -> str:
    """A sentence for a caption; empty where there are no constraints."""
    return f" {sentence}" if results.fitness.spec.constraints else ""
