"""A search that overfits on purpose, and what rotation and the distribution's mean do about it.

Two searches by CMA-ES over the tiny zoo, alike but for one key: many candidates, few items of each task. One asks every
generation the same items (rotation: 1), the other draws new ones for each (rotation: 0.5). On the way, the recipe that
looks best so far and the distribution's mean are scored on the test split, which an experiment may and no search does.

    evomerge zoo build zoo
    python experiments/overfit.py --zoo zoo --folder runs/overfit

Writes overfit.md and overfit.svg beside itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from evomerge.documents import dump_yaml
from evomerge.execution import Job
from evomerge.execution.worker import Worker
from evomerge.fitness.examiner import Examiner
from evomerge.runs import Asked, RunLog, Told
from evomerge.runs.progress import Progress
from evomerge.runs.replay import scored
from evomerge.settings import load_settings
from evomerge.spaces import Genome
from evomerge.study import Study, assemble

HERE = Path(__file__).parent
TASKS = {"math_en": "zoo_math_en", "form_ja": "zoo_form_ja", "math_ja": "zoo_math_ja"}
ROTATIONS = {"the same items for all generations": 1.0, "new items for each generation": 0.5}


@dataclass(frozen=True, slots=True)
class Point:
    """What a search believed after so many candidates, and what was true on the test split; means of the tasks."""

    candidates: int
    believed: float
    best: float
    mean: float


def fitness_tree(zoo: Path, num_items: int, rotation: float) -> dict[str, Any]:
    """Three tasks, one objective, plain means of few items."""
    return {
        "evomerge": "fitness/1",
        "include": [str(zoo / "tasks")],
        "tasks": {label: {"task": task, "metric": "acc"} for label, task in TASKS.items()},
        "objectives": {"mean": list(TASKS)},
        "splits": {"search": 0.4, "selection": 0.2, "test": 0.4, "by": ["key"]},
        "items": {"search": 400, "selection": 200, "test": 500},
        "estimator": {"name": "mean", "items": num_items},
        "rotation": rotation,
    }


def searched(folder: Path, zoo: Path, num_items: int, rotation: float, candidates: int, seed: int) -> Path:
    """The folder of a finished run, which is made where it is not there."""
    name = f"rotation-{rotation:g}-seed-{seed}"
    run = folder / name
    (folder / "fitness").mkdir(parents=True, exist_ok=True)
    (folder / "fitness" / f"{name}.yaml").write_text(dump_yaml(fitness_tree(zoo, num_items, rotation)))
    if not (run / "report.html").exists():
        command = [sys.executable, "-m", "evomerge.cli", "search", "search_space=zoo", f"fitness={name}"]
        command += ["optimizer=cma_es", f"candidates={candidates}", f"seed={seed}", f"zoo={zoo}", f"run_dir={run}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return run


def moments(run: Path, study: Study, checkpoints: list[int]) -> Iterator[tuple[int, float, Genome, Genome]]:
    """After so many candidates: the best loss seen, its genome, and the distribution's mean."""
    optimizer, progress = study.optimizer(), Progress()
    examiner = Examiner(study.fitness, study.settings.seed, {})
    with RunLog.read(run) as log:
        for event in log.events():
            if isinstance(event, Asked):
                optimizer.ask()
            progress.take(event)
            if isinstance(event, Told):
                optimizer.tell(event.number, scored(event, progress, examiner))
                if len(progress.losses) in checkpoints:
                    best = min(progress.losses, key=lambda number: progress.losses[number])
                    favourite = optimizer.favourite() or progress.genomes[best]
                    yield len(progress.losses), progress.losses[best][0], progress.genomes[best], favourite


def traced(run: Path, checkpoints: list[int]) -> list[Point]:
    """What was believed and what was true on the way; remembered beside the run."""
    known = run / "traced.json"
    if not known.exists():
        study = assemble(load_settings(run))
        worker, items = Worker(study.worker_plan()), study.fitness.items("test")

        def on_test(genome: Genome) -> float:
            outcome = worker.run(Job(0, study.space.decode(genome), items))
            return float(np.mean([scores.mean() for scores in outcome.responses.values()]))

        rows = [
            (number, 1 - loss, on_test(best), on_test(mean))
            for number, loss, best, mean in moments(run, study, checkpoints)
        ]
        known.write_text(json.dumps(rows))
    return [Point(*row) for row in json.loads(known.read_text())]


def draw(traces: Mapping[str, list[list[Point]]], file: Path) -> None:
    """One panel per search: means over seeds, and their range."""
    figure, axes = plt.subplots(1, len(traces), figsize=(9, 3.6), sharey=True, layout="constrained")
    lines = {"believed": "believed of the best seen", "best": "true of the best seen", "mean": "true of the mean"}
    for axis, (name, runs) in zip(axes, traces.items(), strict=True):
        numbers = [point.candidates for point in runs[0]]
        for (field, label), colour in zip(lines.items(), ("#c44e52", "#4c72b0", "#55a868"), strict=True):
            values = np.array([[getattr(point, field) for point in run] for run in runs])
            axis.plot(numbers, values.mean(0), color=colour, label=label)
            axis.fill_between(numbers, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        axis.set(title=name, xlabel="candidates", xscale="log")
    axes[0].set_ylabel("mean score of three tasks")
    axes[0].legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})


def table(traces: Mapping[str, list[list[Point]]]) -> str:
    """What was believed and what was true at the end, means over seeds ± their standard error."""
    lines = [
        "| items | candidates | believed | true, best seen | gap | true, mean of the distribution |",
        "|" + "---|" * 6,
    ]
    for name, runs in traces.items():
        for index in (0, len(runs[0]) // 2, -1):
            points = [run[index] for run in runs]
            columns = [[getattr(point, field) for point in points] for field in ("believed", "best", "mean")]
            columns.insert(2, [point.believed - point.best for point in points])
            cells = [f"{np.mean(c):.3f} ± {np.std(c, ddof=1) / np.sqrt(len(c)):.3f}" for c in columns]
            lines.append(f"| {name} | {points[0].candidates} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--zoo", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--items", type=int, default=10)
    arguments.add_argument("--candidates", type=int, default=600)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    given = arguments.parse_args()
    zoo, folder = given.zoo.resolve(), given.folder.resolve()
    checkpoints = [n for n in (20, 40, 80, 150, 300, 600, 1200) if n <= given.candidates]
    traces = {
        name: [
            traced(searched(folder, zoo, given.items, rotation, given.candidates, seed), checkpoints)
            for seed in given.seeds
        ]
        for name, rotation in ROTATIONS.items()
    }
    draw(traces, HERE / "overfit.svg")
    (folder / "overfit.md").write_text(table(traces) + "\n")


if __name__ == "__main__":
    main()
