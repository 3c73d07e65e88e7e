"""Commands: what a person types to go on from a report, exact enough to paste."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from evomerge.fitness import Fitness, FitnessSpec
from evomerge.recipe import Recipe
from evomerge.runs.results import Results
from evomerge.settings import InlineSettings, Settings

ITEMS_FILE = "test_items.json"
EXPORTED = "OUT"
"""What commands call the folder of the exported model."""


def test_items(fitness: Fitness) -> dict[str, list[int]]:
    """Positions of the test split's documents by the name that lm-eval knows the task by."""
    positions: dict[str, set[int]] = {}
    for label, items in fitness.items("test").items():
        positions.setdefault(fitness.spec.tasks[label].task, set()).update(items)
    return {task: sorted(items) for task, items in positions.items()}


def export(folder: Path, finalist: str | None = None) -> str:
    """Writes a merge of a run as a checkpoint; the chosen one, or the one named."""
    choice = ["--finalist", finalist] if finalist else []
    return shlex.join(["evomerge", "export", str(folder), EXPORTED, *choice])


def pick(folder: Path, results: Results) -> str | None:
    """Picks another finalist by what counts more; None where there is nothing to choose between."""
    if len(results.finalists) < 2 or results.fitness.num_objectives < 2:
        return None
    return shlex.join(["evomerge", "pick", str(folder), "--weights", f"{results.fitness.objectives.names[0]}=2"])


def resume(folder: Path, num_candidates: int | None = None) -> str:
    """Goes on with a run, or gives it a larger budget."""
    more = ["--candidates", str(num_candidates)] if num_candidates else []
    return shlex.join(["evomerge", "resume", str(folder), *more])


def lm_eval(folder: Path, fitness: Fitness, recipe: Recipe, settings: Settings) -> str:
    """Prints the test scores of the exported merge, with lm-eval's own command.

    One command per task: lm-eval sorts the requests of all its tasks into common batches, and what shares a batch moves
    the last bits of a log-likelihood.
    """
    spec = fitness.spec
    lines = []
    for task, num_fewshot in dict.fromkeys((entry.task, entry.num_fewshot) for entry in spec.tasks.values()):
        parts = [
            f"OMP_NUM_THREADS={settings.executor.threads} lm_eval --model hf --batch_size {spec.batch_size}",
            f"--model_args {shlex.quote(_model_args(spec, recipe))}",
            f"--tasks {shlex.quote(task)}{_include(spec)}",
            " ".join([f"--samples {shlex.quote(str(folder / ITEMS_FILE))}", *_options(spec, num_fewshot, settings)]),
        ]
        lines.append(" \\\n    ".join(parts))
    return "\n".join(lines)


def _model_args(spec: FitnessSpec, recipe: Recipe) -> str:
    length = f",max_length={spec.max_length}" if spec.max_length else ""
    return f"pretrained={EXPORTED},dtype={recipe.dtype or 'auto'}{length}"


def _include(spec: FitnessSpec) -> str:
    if not spec.include:
        return ""
    # lm_eval takes one folder only
    return f" --include_path {shlex.quote(spec.include[0]) if len(spec.include) == 1 else 'FOLDER_OF_THIS_TASK'}"


def _options(spec: FitnessSpec, num_fewshot: int | None, settings: Settings) -> Iterator[str]:
    if num_fewshot is not None:
        yield f"--num_fewshot {num_fewshot}"
    if spec.apply_chat_template:
        yield "--apply_chat_template"
    if spec.allow_code:
        yield "--confirm_run_unsafe_code"
    device = _device(settings)
    if device is not None:
        yield f"--device {shlex.quote(device)}"


def _device(settings: Settings) -> str | None:
    """The device that was asked for; None where the choice was left to the machine, as lm_eval does too."""
    if isinstance(settings.executor, InlineSettings):
        return None if settings.executor.device == "auto" else settings.executor.device
    return None if settings.executor.gpus else "cpu"
