"""`evomerge evaluate`: score a checkpoint or a recipe with a fitness, as the search would."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evomerge import shipped
from evomerge.cli import parser
from evomerge.config.files import read_resolved
from evomerge.documents import parse
from evomerge.errors import EvomergeError
from evomerge.execution import Job
from evomerge.execution.inline import InlineExecutor
from evomerge.execution.worker import WorkerPlan
from evomerge.fitness import Fitness, FitnessSpec
from evomerge.fitness.items import SPLITS
from evomerge.recipe import Blend, ModelRef, Recipe, load_recipe
from evomerge.recipe.stages import Linear


def run(argv: Sequence[str]) -> int:
    """Print the score of every task on one split."""
    given = _arguments(argv)
    where, spec = _fitness(given.fitness, given.zoo)
    fitness = Fitness.open(spec, where)
    recipe = load_recipe(given.model) if given.model.suffix in (".yaml", ".yml") else _alone(given.model)
    executor = InlineExecutor(WorkerPlan(recipe, spec, where, given.device, given.threads))
    executor.submit(Job(0, recipe, fitness.items(given.split)))
    (outcome,) = executor.wait()
    if outcome.failure is not None:
        raise EvomergeError(f"{given.model}: {outcome.failure}")
    table = Table("task", "score", "standard error", "items", title=f"{given.model} on the {given.split} split")
    for label, estimate in fitness.estimates(outcome.responses).items():
        # every digit, because people compare this with what lm_eval prints
        table.add_row(label, repr(estimate.value), f"{estimate.stderr:.4f}", str(estimate.num_items))
    Console().print(table)
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parser("evaluate")
    arguments.add_argument("model", type=Path, help="a checkpoint's folder, or a recipe.yaml")
    arguments.add_argument("--fitness", required=True, help="a name in fitness/, or a file")
    arguments.add_argument("--split", choices=SPLITS, default="selection", help="default: selection")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--zoo", default="zoo", help="what ${zoo} stands for in the file")
    return arguments.parse_args(argv)


def _fitness(name: str, zoo: str) -> tuple[str, FitnessSpec]:
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else shipped.find("fitness", name)
    return str(path), parse(FitnessSpec, read_resolved(path, zoo), str(path))


def _alone(folder: Path) -> Recipe:
    blend = Blend(experts=("model",), pipe=(Linear(reduce="sum"),))
    return Recipe(models={"model": ModelRef(path=str(folder))}, blends={"alone": blend})
