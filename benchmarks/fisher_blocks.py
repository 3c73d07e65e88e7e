"""Adaptive testing in blocks: what asking several items before the ability is estimated again costs in accuracy.

Every block is a job for a worker. The merges are those of `estimators.py`; differences from blocks of one are paired by
seed, and ± is the standard error of their mean over seeds.

    OMP_NUM_THREADS=1 python benchmarks/fisher_blocks.py
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace

import measure
import numpy as np
from estimators import SCENARIOS, Figures, Row, assess, banks_of

from evomerge.fitness.estimators import configs as estimators
from evomerge.fitness.selectors import configs as selectors
from evomerge.testing.responses import Scenario, simulate

BLOCKS = (1, 2, 5, 10)
NUMBERS = (10, 20, 50)


def measured(scenario: Scenario, seeds: Sequence[int]) -> dict[tuple[int, int], list[Figures]]:
    """Figures of every seed, by block and number of items."""
    found: dict[tuple[int, int], list[Figures]] = {}
    for seed in seeds:
        simulated = simulate(scenario, seed)
        banks = banks_of(simulated)
        for block in BLOCKS:
            row = Row(estimators.EapConfig(), selectors.FisherConfig(block=block), 1)
            for number in NUMBERS:
                found.setdefault((block, number), []).append(assess(row, simulated, banks, number, seed))
    return found


def row_of(block: int, number: int, found: dict[tuple[int, int], list[Figures]]) -> list[str]:
    """One line of the table."""

    def beside(field: str, digits: int) -> str:
        here, single = (np.array([getattr(one, field) for one in found[b, number]]) for b in (block, 1))
        apart = here - single
        error = apart.std(ddof=1) / math.sqrt(len(apart))
        return f"{here.mean():.{digits}f}" if block == 1 else f"{apart.mean():+.{digits}f} ± {error:.{digits}f}"

    jobs = math.ceil(number / block)
    ms = np.mean([one.ms for one in found[block, number]])
    coverage = np.mean([one.coverage for one in found[block, number]])
    return [str(number), str(block), str(jobs), beside("error", 4), beside("rank", 3), f"{coverage:.2f}", f"{ms:.1f}"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    arguments.add_argument("--seeds", type=int, default=20)
    arguments.add_argument("--first-seed", type=int, default=1000)
    arguments.add_argument("--items", type=int, default=1000)
    given = arguments.parse_args()
    print(measure.heading("Adaptive testing in blocks", ("numpy", "scipy")))
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    head = ["items", "block", "jobs", "MAE, or difference", "Spearman, or difference", "coverage", "ms"]
    for name in given.scenarios:
        found = measured(replace(SCENARIOS[name], num_items=given.items), seeds)
        rows = [row_of(block, number, found) for number in NUMBERS for block in BLOCKS]
        print(f"## {name}, {given.seeds} seeds\n\n{measure.table(head, rows)}")


if __name__ == "__main__":
    main()
