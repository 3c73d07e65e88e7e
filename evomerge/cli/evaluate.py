"""`evomerge evaluate`: score a checkpoint or a recipe with a fitness, as the search would."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evomerge.cli import parser
from evomerge.cli.scoring import alone, read_fitness
from evomerge.cli.words import device
from evomerge.errors import ConfigError, EvomergeError
from evomerge.execution import Job
from evomerge.execution.inline import InlineExecutor
from evomerge.execution.worker import WorkerPlan
from evomerge.fitness import Fitness
from evomerge.fitness.items import SPLITS
from evomerge.recipe import load_recipe


def run(argv: Sequence[str]) -> int:
    """Print the score of every task on one split."""
    given = _arguments(argv)
    where, spec = read_fitness(given.fitness, given.zoo)
    fitness = Fitness.open(spec, where)
    recipe = load_recipe(given.model) if given.model.suffix in (".yaml", ".yml") else alone(given.model)
    executor = InlineExecutor(WorkerPlan(recipe, spec, where, given.device, given.threads))
    items = {label: items for label, items in fitness.items(given.split).items() if not spec.tasks[label].agrees_with}
    if not items:
        raise ConfigError.at(where, "every task compares answers with those of a model, which there is none of here.")
    executor.submit(Job(0, recipe, items))
    (outcome,) = executor.wait()
    if outcome.failure is not None:
        raise EvomergeError(f"{given.model}: {outcome.failure}")
    table = Table("task", "score", "standard error", "items", title=f"{given.model} on the {given.split} split")
    for label, estimate in fitness.estimates(outcome.responses).items():
        # every digit, because people compare this with what lm_eval prints
        table.add_row(label, repr(estimate.value), f"{estimate.stderr:.4f}", str(estimate.num_items))
    Console().print(table)
    if left_out := [label for label in spec.tasks if label not in items]:
        print(f"Not scored, because they compare with another model: {', '.join(left_out)}.")
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser("evaluate")
    arguments.add_argument("model", type=Path, help="a checkpoint's folder, or a recipe.yaml")
    arguments.add_argument("--fitness", required=True, help="a name in fitness/, or a file")
    arguments.add_argument("--split", choices=SPLITS, default="selection", help="default: selection")
    arguments.add_argument("--device", type=device, default="cpu", help="cpu, cuda:0 or auto (default: cpu)")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in the file")
    return arguments.parse_args(argv)
