"""How the time of a candidate grows with experts, parameters and threads.

Each row changes one thing. `exponent` is the slope of log time over log size from the smallest to the largest: 1 is in
proportion, less is better. The models for more experts and parameters are made when they are missing.

    OMP_NUM_THREADS=2 python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import measure
import models
import torch
from materialise import WARM_UPS, materialise, recipe_of, timed

from evomerge.checkpoints import Checkpoint
from evomerge.merging import Library

METHODS = ("linear", "task_arithmetic", "slerp", "ties", "dare_ties")


def candidate_s(method: str, homes: list[Path], num_repeats: int) -> float:
    """Median wall seconds of a candidate once the caches are warm."""
    library, rng, base = Library(is_fused=True), random.Random(0), Checkpoint(homes[0])
    resident = {name: torch.empty(base.shape(name), dtype=base.dtype(name)) for name in base.names}
    with torch.inference_mode():
        recipes = [recipe_of(method, homes, rng) for _ in range(WARM_UPS + num_repeats)]
        times = [timed(lambda: materialise(recipe, library, resident))[0] for recipe in recipes]  # noqa: B023
    return statistics.median(times[WARM_UPS:])


def exponent(sizes: Sequence[float], times_s: Sequence[float]) -> float:
    """Slope of log time over log size."""
    return math.log(times_s[-1] / times_s[0]) / math.log(sizes[-1] / sizes[0])


def num_parameters(home: Path) -> int:
    """How many numbers a checkpoint holds."""
    return Checkpoint(home).num_parameters


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--precision", choices=models.DTYPES, default="bf16")
    arguments.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    arguments.add_argument("--experts", nargs="+", type=int, default=[2, 3, 4, 5])
    arguments.add_argument("--experts-size", choices=models.SHAPES, default="60m")
    arguments.add_argument("--sizes", nargs="+", choices=models.SHAPES, default=["4m", "16m", "60m", "160m"])
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, *([2] if (os.cpu_count() or 1) > 1 else [])])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/evomerge-benchmarks"))
    given = arguments.parse_args()
    print(measure.heading("Growth of a candidate's time"))
    print(f"{given.precision}; wall milliseconds, medians of {given.repeats}; caches warm, compiled loops.")
    print("One thread unless said.\n")
    torch.set_num_threads(1)

    size, most = given.experts_size, max(given.experts)
    homes = models.make(given.folder, size, given.precision, most)
    print(f"## Experts ({size})\n")
    rows: list[list[object]] = []
    for method in (each for each in given.methods if each != "slerp"):  # which takes two
        times_s = [candidate_s(method, homes[: count + 1], given.repeats) for count in given.experts]
        rows.append([method, *(each * 1e3 for each in times_s), exponent(given.experts, times_s)])
    print(measure.table(["method", *map(str, given.experts), "exponent"], rows))

    families = [models.make(given.folder, each, given.precision, 2) for each in given.sizes]
    counts = [num_parameters(family[0]) for family in families]
    print("## Parameters (2 experts)\n")
    rows = []
    for method in given.methods:
        times_s = [candidate_s(method, family, given.repeats) for family in families]
        rows.append([method, *(each * 1e3 for each in times_s), exponent(counts, times_s)])
    print(measure.table(["method", *(f"{count / 1e6:.0f} M" for count in counts), "exponent"], rows))

    print(f"## Threads ({given.sizes[-1]}, 2 experts)\n")
    rows = []
    for method in given.methods:
        times_s = []
        for count in given.threads:
            torch.set_num_threads(count)
            times_s.append(candidate_s(method, families[-1], given.repeats))
        rows.append([method, *(each * 1e3 for each in times_s), times_s[0] / times_s[-1]])
    print(measure.table(["method", *map(str, given.threads), "times faster"], rows))


if __name__ == "__main__":
    main()
