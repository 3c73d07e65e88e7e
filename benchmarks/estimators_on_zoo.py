"""Every estimator on real merges of the zoo, and whole searches with few items beside searches with all.

First, candidates of one search are scored on every search item; what estimators would have told of them from n items is
computed from those answers, and the seconds of a candidate are measured anew with n items each. Banks are fitted to the
candidates of another search, which are merges of the same parents: kinder to banks than strangers would be.

Then the same search is run for several seeds with all items and with the default (40 items of each task by the
parent-aware model, halving 10/20/40), and the recipes that they choose are compared on the test split.

    evomerge zoo build zoo
    python benchmarks/estimators_on_zoo.py --zoo zoo --folder /tmp/estimators-on-zoo
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import estimators as simulated
import measure
import numpy as np

from evomerge.documents import dump_yaml
from evomerge.execution import Job
from evomerge.execution.worker import Worker
from evomerge.fitness import Fitness
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.fitness.irt.model import Floats
from evomerge.recipe.references import parents
from evomerge.runs import RunLog
from evomerge.runs.results import Results, mean
from evomerge.settings import load_settings
from evomerge.study import Study, assemble

NUMBERS = (10, 20, 50, 100)
TASKS = {"math_en": "zoo_math_en", "form_ja": "zoo_form_ja", "math_ja": "zoo_math_ja"}
ALL = {"name": "mean"}


def fitness_tree(zoo: Path, num_items: int, estimator: Mapping[str, object] | None) -> dict[str, object]:
    """Three tasks, one objective; the default estimator where none is given."""
    tree: dict[str, object] = {
        "evomerge": "fitness/1",
        "include": [str(zoo / "tasks")],
        "tasks": {label: {"task": task, "metric": "acc"} for label, task in TASKS.items()},
        "objectives": {"mean": list(TASKS)},
        "splits": {"search": 0.4, "selection": 0.2, "test": 0.4, "by": ["key"]},
        "items": {"search": num_items, "selection": 200, "test": 500},
    }
    return tree | ({"estimator": dict(estimator)} if estimator else {})


def searched(folder: Path, name: str, zoo: Path, fitness: Mapping[str, object], **settings: object) -> Path:
    """The folder of a finished run, which is made where it is not there."""
    run = folder / name
    (folder / "fitness").mkdir(parents=True, exist_ok=True)
    (folder / "fitness" / f"{name}.yaml").write_text(dump_yaml(fitness))
    if not (run / "report.html").exists():
        command = [sys.executable, "-m", "evomerge.cli", "search", "search_space=zoo", f"fitness={name}"]
        command += [f"{key}={value}" for key, value in settings.items()] + [f"zoo={zoo}", f"run_dir={run}"]
        subprocess.run(command, cwd=folder, env=measure.environment(), check=True, stdout=subprocess.DEVNULL)
    return run


def read(run: Path) -> tuple[Study, Results, dict[str, dict[str, Floats]], dict[str, dict[str, Floats]]]:
    """A run, and the answers of its candidates and of its models on every search item, by name and task."""
    settings = load_settings(run)
    study = assemble(settings)
    with RunLog.read(run) as log:
        results = Results(log, study.fitness)
    models = {name: results.contenders[name].responses["search"] for name in parents(study.some_recipe)}
    sheets = {f"candidate {number}": results.progress.sheets[number].sorted()[1] for number in results.progress.scored}
    return study, results, sheets, models


def banks_of(
    fitness: Fitness, calibration: Mapping[str, Mapping[str, Floats]], task: str
) -> dict[int | None, Bank | None]:
    """Banks of one and five dimensions, and none."""
    digests = [fitness.splits.digests[task][position] for position in fitness.splits.search[task]]
    rows = {name: answers[task].astype(np.float64) for name, answers in calibration.items()}
    names = {"task": task, "task_version": "1", "metric": "acc"}
    return {
        None: None,
        1: fit_bank(rows, digests, **names),
        5: fit_bank(rows, digests, method="mirt", num_dimensions=5, **names),
    }


def estimated(full: Path, calibration: Path, num_draws: int) -> dict[tuple[str, int], simulated.Figures]:
    """Figures of every estimator, means over tasks and draws."""
    study, _, candidates, models = read(full)
    others = read(calibration)[2]
    found: dict[tuple[str, int], list[simulated.Figures]] = {}
    for task in TASKS:
        banks = banks_of(study.fitness, others, task)
        parents_PN = np.array([answers[task] for answers in models.values()], np.float64)
        truth = simulated.Simulated(
            models_MN=parents_PN,
            parents_PN=parents_PN,
            candidates_CN=np.array([answers[task] for answers in candidates.values()], np.float64),
        )
        for name, row in simulated.ROWS.items():
            for number in NUMBERS:
                for seed in range(num_draws):
                    found.setdefault((name, number), []).append(simulated.assess(row, truth, banks, number, seed))
    return {
        key: simulated.Figures(
            *(float(np.mean([getattr(one, field) for one in all_])) for field in simulated.Figures.__slots__)
        )
        for key, all_ in found.items()
    }


def seconds(full: Path, numbers: Sequence[int]) -> dict[int, tuple[float, float]]:
    """Seconds of merging and of scoring a candidate when so many items of each task are asked."""
    study, results, _, _ = read(full)
    worker = Worker(study.worker_plan())
    recipes = [study.space.decode(results.progress.genomes[number]) for number in results.progress.scored[:12]]
    found = {}
    for number in numbers:
        rng, outcomes = np.random.default_rng(number), []
        for index, recipe in enumerate(recipes):
            items = {
                label: tuple(sorted(rng.permutation(positions)[:number].tolist()))
                for label, positions in study.fitness.search_items.items()
            }
            worker.run(Job(index, recipe, items))  # words and tokenises what is new
            worker.run(Job(index, recipes[index - 1], items))
            outcomes.append(worker.run(Job(index, recipe, items)))
        found[number] = (
            statistics.median(outcome.merge_s for outcome in outcomes),
            statistics.median(outcome.score_s for outcome in outcomes),
        )
    return found


def compared(folder: Path, zoo: Path, num_items: int, candidates: int, seeds: Sequence[int]) -> Iterator[list[str]]:
    """Rows: of each seed, what searches with all items and with few chose and cost."""
    for seed in seeds:
        chosen = {}
        for name, estimator in (("all", ALL), ("few", None)):
            tree = fitness_tree(zoo, num_items, estimator)
            settings = {"optimizer": "cma_lr", "candidates": candidates, "seed": seed}
            run = searched(folder, f"{name}-{seed}", zoo, tree, **settings)
            _, results, _, _ = read(run)
            test = mean(list(results.best().estimates["test"].values()))
            models_items = 0 if estimator else len(TASKS) * num_items * 2
            chosen[name] = (test, results.progress.spent.items, models_items, results.progress.spent.seconds)
        (all_test, all_items, _, all_s), (few_test, few_items, extra, few_s) = chosen["all"], chosen["few"]
        yield [
            str(seed),
            f"{all_test.value:.4f} ± {all_test.stderr:.4f}",
            f"{few_test.value:.4f} ± {few_test.stderr:.4f}",
            f"{few_test.value - all_test.value:+.4f}",
            f"{all_items:,}",
            f"{few_items:,} + {extra:,}",
            f"{all_items / few_items:.1f} ({all_items / (few_items + extra):.1f})",
            f"{all_s / few_s:.1f}",
        ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--zoo", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--items", type=int, default=400)
    arguments.add_argument("--candidates", type=int, default=150)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments.add_argument("--draws", type=int, default=3)
    given = arguments.parse_args()
    zoo, folder = given.zoo.resolve(), given.folder.resolve()
    print(measure.heading("Estimators on merges of the zoo", ("torch", "transformers", "lm_eval", "numpy")))
    everything = fitness_tree(zoo, given.items, ALL)
    full = searched(
        folder,
        "full",
        zoo,
        everything | {"objectives": {t: [t] for t in TASKS}},
        optimizer="nsga2",
        candidates=60,
        seed=11,
    )
    calibration = searched(folder, "calibration", zoo, everything, optimizer="random", candidates=40, seed=12)
    print(f"## Scores from n of {given.items} items, 60 candidates of NSGA-II, means of {len(TASKS)} tasks\n")
    print(simulated.table(estimated(full, calibration, given.draws)))
    print("## Seconds of a candidate\n")
    rows = [
        [str(n), f"{merge_s:.4f}", f"{score_s:.3f}"]
        for n, (merge_s, score_s) in seconds(full, (*NUMBERS, given.items)).items()
    ]
    print(measure.table(["items of each task", "merging, s", "scoring, s"], rows))
    print(f"## Searches of {given.candidates} candidates by cma_lr: all items beside the default\n")
    heads = [
        "seed",
        "chosen with all: test",
        "chosen with few: test",
        "difference",
        "items, all",
        "items, few + models",
        "ratio",
        "seconds, ratio",
    ]
    print(measure.table(heads, list(compared(folder, zoo, given.items, given.candidates, given.seeds))))


if __name__ == "__main__":
    main()
