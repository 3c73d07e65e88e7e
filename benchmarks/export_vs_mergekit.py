"""Merged checkpoints written to disk by evomerge and by mergekit, one thread each, as a command and inside a process.

mergekit lives in an environment of its own; the head of scripts/golden_mergekit says how to make it. Both read one and
the same file, mergekit's, and the same models, from a warm page cache. They run in turn, round after round, so that
what else the machine does hits both; the least of all rounds counts, as others can only add to it. `command` is the
whole process from its start; `in process` begins after the imports. Peak memory is anonymous memory, so mapped input
files do not count. `--out /dev/shm` writes to memory, where a disk is shared or slow.

    python benchmarks/export_vs_mergekit.py --size 160m
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import measure
import models
import yaml

WEIGHTS = [0.5, 0.7, 0.3]
PARAMETERS: dict[str, dict[str, float]] = {
    # method: what it is told, beside one weight per expert
    "linear": {},
    "slerp": {"t": 0.4},
    "task_arithmetic": {},
    "ties": {"density": 0.5},
    "dare_ties": {"density": 0.5},
    "della": {"density": 0.5, "epsilon": 0.1},
}
TARGETS = {
    # method: how many times less CPU without start-up
    "linear": 2.0,
    "slerp": 2.0,
    "task_arithmetic": 2.0,
    "ties": 8.0,
    "dare_ties": 8.0,
    "della": 8.0,
}
COMMAND_TARGET = 3.0
LOG = "last.log"


def recipe_of(method: str, homes: list[Path], precision: str) -> dict[str, Any]:
    """A file that both read, in the dtype of the models as mergekit's users write it."""
    dtype = {"bf16": "bfloat16", "fp32": "float32"}[precision]
    config: dict[str, Any] = {"merge_method": method, "dtype": dtype, "parameters": PARAMETERS[method]}
    if method == "slerp":
        return config | {"base_model": str(homes[0]), "models": [{"model": str(home)} for home in homes[:2]]}
    experts = [
        {"model": str(home), "parameters": {"weight": weight}} for home, weight in zip(homes[1:], WEIGHTS, strict=False)
    ]
    base = {} if method == "linear" else {"base_model": str(homes[0])}
    return config | base | {"models": experts}


def in_process(python: Path | str, engine: str, recipe: Path, out: Path, num_exports: int) -> tuple[float, float]:
    """The least wall and CPU seconds of some exports."""
    script = Path(__file__).with_name("one_export.py")
    command = [str(python), str(script), engine, str(recipe), str(out), str(num_exports)]
    done = subprocess.run(command, env=measure.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    taken = json.loads(done.stdout.strip().splitlines()[-1])
    return min(each["wall_s"] for each in taken), min(each["cpu_s"] for each in taken)


def as_command(command: list[str], out: Path, log: Path) -> measure.Usage:
    """A whole process."""
    usage = measure.run(command, log)
    shutil.rmtree(out)
    return usage


def row_of(method: str, homes: list[Path], precision: str, given: argparse.Namespace) -> list[object]:
    """Both engines on one method."""
    work = given.folder / "exports"
    work.mkdir(exist_ok=True)
    recipe, out = work / "recipe.yml", given.out / f"evomerge-export-{os.getpid()}"
    recipe.write_text(yaml.safe_dump(recipe_of(method, homes, precision)))
    shutil.rmtree(out, ignore_errors=True)
    python, mergekit = given.mergekit / "bin" / "python", given.mergekit / "bin" / "mergekit-yaml"
    commands = {
        "evomerge": [sys.executable, "-m", "evomerge.cli", "merge", str(recipe), str(out)],
        "mergekit": [str(mergekit), str(recipe), str(out), "--no-copy-tokenizer", "--random-seed", "0", "--quiet"],
    }
    interpreters = {"evomerge": sys.executable, "mergekit": python}
    usages: dict[str, list[measure.Usage]] = {engine: [] for engine in commands}
    inners: dict[str, list[tuple[float, float]]] = {engine: [] for engine in commands}
    for _ in range(given.rounds):
        for engine, command in commands.items():
            usages[engine].append(as_command(command, out, work / LOG))
        for engine, interpreter in interpreters.items():
            inners[engine].append(in_process(interpreter, engine, recipe, out, given.exports))
    mine, peer = (measure.least_of(usages[engine]) for engine in commands)
    (our_wall_s, our_cpu_s), (their_wall_s, their_cpu_s) = (
        map(min, zip(*inners[each], strict=True)) for each in commands
    )
    whole, inner = peer.cpu_s / mine.cpu_s, their_cpu_s / our_cpu_s
    is_met = whole >= COMMAND_TARGET and inner >= TARGETS[method] and mine.peak_bytes < peer.peak_bytes
    return [
        method,
        *(pair(f(mine), f(peer)) for f in (lambda u: u.cpu_s, lambda u: u.wall_s)),
        f"{whole:.1f} (≥ {COMMAND_TARGET:.0f})",
        pair(our_cpu_s, their_cpu_s),
        pair(our_wall_s, their_wall_s),
        f"{inner:.1f} (≥ {TARGETS[method]:.0f})",
        f"{mine.peak_bytes / 1e6:.0f} / {peer.peak_bytes / 1e6:.0f}",
        "met" if is_met else "missed",
    ]


def pair(ours: float, theirs: float) -> str:
    """Seconds of both."""
    return f"{ours:.2f} / {theirs:.2f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", nargs="+", choices=models.SHAPES, default=["160m"])
    arguments.add_argument("--precision", nargs="+", choices=models.DTYPES, default=list(models.DTYPES))
    arguments.add_argument("--experts", nargs="+", type=int, default=[2, 3])
    arguments.add_argument("--methods", nargs="+", choices=TARGETS, default=list(TARGETS))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--exports", type=int, default=2, help="inside one process, per round")
    arguments.add_argument("--mergekit", type=Path, default=Path("/tmp/mergekit-venv"), help="its virtual environment")
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/evomerge-benchmarks"))
    arguments.add_argument("--out", type=Path, default=Path("/tmp"), help="where the merged models are written")
    given = arguments.parse_args()
    ask = [
        str(given.mergekit / "bin" / "python"),
        "-c",
        "from importlib.metadata import version as v; print(v('mergekit'), v('torch'))",
    ]
    versions = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
    print(measure.heading("Export to disk, evomerge against mergekit"))
    print(f"mergekit {versions[0]} with torch {versions[1]}; one thread.")
    print(f"Cells are evomerge / mergekit, the least of {given.rounds} rounds in turn; peaks are the largest.\n")
    head = ["method", "command CPU s", "command wall s", "times less CPU", "in process CPU s", "in process wall s"]
    head += ["times less CPU", "peak MB", "targets"]
    for size, precision, num_experts in itertools.product(given.size, given.precision, given.experts):
        homes = models.make(given.folder, size, precision, num_experts)
        for home in homes:
            (home / "model.safetensors").read_bytes()  # into the page cache
        print(f"\n## {size} {precision}, base and {num_experts} experts (slerp: base and 1)\n", flush=True)
        print(measure.table(head, [row_of(method, homes, precision, given) for method in given.methods]), flush=True)


if __name__ == "__main__":
    main()
