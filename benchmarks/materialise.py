"""Writes candidates into tensors that lie in memory, and compares that with copying what they read.

The floor of a candidate is the same bytes in the plainest form: every source that its recipe reads, copied with
`Tensor.copy_` into the resident tensors, one source after the other. It reads what the merge reads and writes once per
source, where the merge writes once. Candidates differ in weights, density and t from repeat to repeat, as in a search;
the experts and the seed stay. The first two candidates compile their loop and fill the caches that do not depend on
the recipe. They are left out of the medians, and the first is told apart.

    OMP_NUM_THREADS=1 python benchmarks/materialise.py --size 160m
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import models
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.documents import parse
from evomerge.merging import Library, Merge
from evomerge.recipe import Recipe

Rule = dict[str, Any]
WARM_UPS = 2
TARGETS = {"linear": 2.0, "task_arithmetic": 2.0, "slerp": 2.5, "ties": 4.0, "dare_ties": 4.0}


def rule_of(method: str, num_experts: int, rng: random.Random) -> Rule:
    """A random candidate of a method."""
    weights = {"weights": [round(rng.uniform(0.2, 1.0), 3) for _ in range(num_experts)]}
    density = {"density": round(rng.uniform(0.2, 0.8), 3)}
    match method:
        case "slerp":
            return {"use": method, "t": round(rng.uniform(0.2, 0.8), 3)}
        case "linear" | "task_arithmetic":
            return {"use": method, **weights}
        case _:
            return {"use": method, **weights, **density}


def sources_of(method: str, homes: list[Path]) -> list[Path]:
    """The checkpoints that a recipe of the method reads."""
    return homes[1:3] if method == "slerp" else homes[1:] if method == "linear" else homes


def recipe_of(method: str, homes: list[Path], rng: random.Random) -> Recipe:
    """A random candidate over the base and its experts."""
    names = [home.name for home in sources_of(method, homes) if home.name != "base"]
    tree = {
        "models": {home.name: {"path": str(home)} for home in homes},
        "blends": {"mix": {"origin": "base", "experts": names, "rules": [rule_of(method, len(names), rng)]}},
    }
    return parse(Recipe, tree, method)


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of some work."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def materialise(recipe: Recipe, library: Library, resident: dict[str, torch.Tensor]) -> None:
    """Overwrite the resident tensors with a candidate."""
    merge = Merge(recipe, library)
    for name, tensor in resident.items():
        merge.into(name, tensor)


def copy(sources: list[Checkpoint], resident: dict[str, torch.Tensor]) -> None:
    """The floor."""
    for name, tensor in resident.items():
        for source in sources:
            tensor.copy_(source.tensor(name))


def profile(work: Callable[[], None], num_rows: int = 8) -> str:
    """The functions in which one candidate spends its time, with their own milliseconds."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # typeshed hides it
    own = sorted(((each[2], each[1], place) for place, each in stats.items()), reverse=True)
    total_s = sum(seconds for seconds, _, _ in own)
    rows = [
        [_named(file, line, name), calls, seconds * 1e3, f"{seconds / total_s:.0%}"]
        for seconds, calls, (file, line, name) in own[:num_rows]
    ]
    return measure.table(["function", "calls", "own ms", "share"], rows)


def _named(file: str, line: int, name: str) -> str:
    """A function as a reader knows it."""
    if line:
        return f"{Path(file).name} {name}"
    return "compiled loop" if ".kernel" in name else name


def rows_of(
    homes: list[Path], methods: list[str], num_repeats: int, library: Library
) -> tuple[list[list[object]], dict[str, str]]:
    """One row per method, and a profile of each."""
    rng = random.Random(0)
    opened = {home: Checkpoint(home) for home in homes}
    base = opened[homes[0]]
    resident = {name: torch.empty(base.shape(name), dtype=base.dtype(name)) for name in base.names}
    num_bytes = sum(tensor.nbytes for tensor in resident.values())
    rows, profiles = list[list[object]](), dict[str, str]()
    for method in methods:
        sources = [opened[home] for home in sources_of(method, homes)]
        merges, floors = list[tuple[float, float]](), list[tuple[float, float]]()
        for _ in range(WARM_UPS + num_repeats):  # in turn, so that a change of the machine hits both
            recipe = recipe_of(method, homes, rng)
            floors.append(timed(lambda: copy(sources, resident)))  # noqa: B023  # called at once
            merges.append(timed(lambda: materialise(recipe, library, resident)))  # noqa: B023
        (floor_s, floor_cpu_s), (merge_s, merge_cpu_s) = (
            [statistics.median(each) for each in zip(*times[WARM_UPS:], strict=True)] for times in (floors, merges)
        )
        ratio, moved = merge_cpu_s / floor_cpu_s, (len(sources) + 1) * num_bytes / 1e9 / merge_s
        verdict = "met" if ratio <= TARGETS[method] else "missed"
        rows.append(
            [
                *(method, len(sources), floor_s * 1e3, merge_s * 1e3, merge_s / floor_s, ratio),
                *(f"≤ {TARGETS[method]} {verdict}", merges[0][0] * 1e3, moved),
            ]
        )
        profiles[method] = profile(lambda: materialise(recipe, library, resident))  # noqa: B023
    return rows, profiles


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", nargs="+", choices=models.SHAPES, default=["160m"])
    arguments.add_argument("--precision", nargs="+", choices=models.DTYPES, default=list(models.DTYPES))
    arguments.add_argument("--experts", nargs="+", type=int, default=[2, 3])
    arguments.add_argument("--methods", nargs="+", choices=TARGETS, default=list(TARGETS))
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--cache-gb", type=float, default=2.0, help="memory for what candidates share")
    arguments.add_argument("--fused", action=argparse.BooleanOptionalAction, default=True, help="compiled loops")
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/evomerge-benchmarks"))
    arguments.add_argument(
        "--profile", action="store_true", help="print where one candidate of each row spends its time"
    )
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    print(measure.heading("Materialising a candidate in place"))
    loops = "compiled" if given.fused else "not compiled"
    print(
        f"Floor: every source copied into the resident tensors. Wall milliseconds, medians of {given.repeats}; {loops}."
    )
    for size, precision, num_experts in itertools.product(given.size, given.precision, given.experts):
        homes = models.make(given.folder, size, precision, num_experts)
        with torch.inference_mode():
            rows, profiles = rows_of(
                homes, given.methods, given.repeats, Library(is_fused=given.fused, room_bytes=int(given.cache_gb * 1e9))
            )
        print(f"\n## {size} {precision}, base and {num_experts} experts, {given.threads} thread(s)\n", flush=True)
        head = ["method", "sources", "floor ms", "merge ms", "wall ratio", "CPU ratio", "target", "first ms", "GB/s"]
        print(measure.table(head, rows))
        if given.profile:
            for method, text in profiles.items():
                print(f"\n{method}, one candidate:\n\n{text}")


if __name__ == "__main__":
    main()
