"""Builds a zoo in a folder, or finishes one that was interrupted: four checkpoints and the tasks to ask them."""

from __future__ import annotations

import contextlib
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import LlamaForCausalLM

from evomerge import __version__, seeds
from evomerge.checkpoints.zoo.plan import Course, Progress, ZooPlan
from evomerge.checkpoints.zoo.record import Built, Record, digests, write
from evomerge.checkpoints.zoo.tasks import task_files
from evomerge.checkpoints.zoo.tokenizer import make_tokenizer
from evomerge.checkpoints.zoo.training import new_model, one_thread, train


def build_zoo(folder: Path, plan: ZooPlan, report: Callable[[Progress], None]) -> None:
    """Make `folder` hold the zoo of `plan`: `base/`, one folder per expert, `tasks/` and `zoo.json`.

    Models that are already there and whole are kept, so a second call returns at once and an interrupted build goes on
    with the model it was at. The same plan gives the same weights, byte for byte, on the same machine and versions.

    Args:
        folder: Made if missing.
        plan: What to build.
        report: Told about the training from time to time.

    Raises:
        ConfigError: If the folder holds another zoo, or files in the way of this one.
    """
    record = Record.open(folder, plan)
    record.write(folder)
    for name, course in {"base": plan.base, **plan.experts}.items():
        if name in record.models and record.models[name].files == digests(folder / name):
            continue
        started = time.perf_counter()
        with one_thread(), _no_progress_bars():
            _build_model(folder, name, course, plan, report)
        seconds = round(time.perf_counter() - started, 3)
        record = record.with_model(name, Built(seconds=seconds, versions=_versions(), files=digests(folder / name)))
        record.write(folder)
    for path, text in task_files(folder / "tasks", plan).items():
        write(path, text)
    record.with_tasks(digests(folder / "tasks" / "data")).write(folder)


def _build_model(folder: Path, name: str, course: Course, plan: ZooPlan, report: Callable[[Progress], None]) -> None:
    """Train one model and put its folder in place as a whole."""
    if name == "base":
        model = new_model(plan, torch.Generator().manual_seed(seeds.integer(plan.seed, "zoo", "weights")))
    else:
        model = LlamaForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    train(name, model, course, plan.batch_size, seeds.integer(plan.seed, "zoo", "training", name), report)
    partial = folder / f".{name}.partial"
    for remains in (partial, folder / name):
        shutil.rmtree(remains, ignore_errors=True)
    model.save_pretrained(partial)
    make_tokenizer().save_pretrained(partial)
    partial.rename(folder / name)


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing over the bar of whoever is told about the progress."""
    shown_before = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown_before:
            transformers.utils.logging.enable_progress_bar()


def _versions() -> dict[str, str]:
    return {
        "evomerge": __version__,
        "python": platform.python_version(),
        "tokenizers": tokenizers.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
