"""Coverage: which test items some finalist solves, and how far finalists differ in what they solve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.report.verdict import chosen
from evomerge.runs.joint import Floats
from evomerge.runs.results import Contender, Results


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one task whose items are solved or not; shares of its test items.

    Attributes:
        task: Its label.
        num_items: How many.
        chosen: Solved by the chosen merge.
        best: Solved by the finalist that solves most.
        finalists: Solved by one finalist at least.
        references: Solved by one reference at least; None where no reference was scored.
        entropy: Mean over the items of the binary entropy, in bits, of the share of finalists that solve an item: 0
            where all solve the same (M2N2, 2508.16204).
    """

    task: str
    num_items: int
    chosen: float
    best: float
    finalists: float
    references: float | None
    entropy: float


def coverage(results: Results) -> list[Coverage]:
    """Coverage of every task with scores of 0 and 1 only; nothing before two finalists were tested."""
    best = chosen(results)
    tested = [finalist for finalist in results.finalists if finalist.complete("test")]
    if best not in tested or len(tested) < 2:
        return []
    return list(_tasks(results, tested, tested.index(best)))


def _tasks(results: Results, tested: Sequence[Contender], place: int) -> Iterator[Coverage]:
    references = [reference for reference in results.references if reference.complete("test")]
    for task in results.fitness.spec.tasks:
        solved_FI, by_references_RI = _solved(tested, task), _solved(references, task)
        if not np.isin(np.concatenate([solved_FI, by_references_RI]), (0, 1)).all():
            continue
        yield Coverage(
            task,
            solved_FI.shape[1],
            float(solved_FI[place].mean()),
            float(solved_FI.mean(axis=1).max()),
            float(solved_FI.any(axis=0).mean()),
            float(by_references_RI.any(axis=0).mean()) if references else None,
            _entropy(solved_FI.mean(axis=0)),
        )


def _solved(contenders: Sequence[Contender], task: str) -> Floats:
    rows = [contender.responses["test"][task] for contender in contenders]
    return np.array(rows, np.float64) if rows else np.empty((0, 0))


def _entropy(shares_I: Floats) -> float:
    shares_I2 = np.stack([shares_I, 1 - shares_I], axis=1).clip(1e-300, 1)
    return float(-(shares_I2 * np.log2(shares_I2)).sum(axis=1).mean()) + 0.0
