"""Builds a zoo in a folder, or finishes one that was interrupted: four checkpoints and the tasks to ask them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
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
from evomerge.checkpoints.zoo.plan import Progress, ZooPlan
from evomerge.checkpoints.zoo.tasks import task_files
from evomerge.checkpoints.zoo.tokenizer import make_tokenizer
from evomerge.checkpoints.zoo.training import new_model, one_thread, train
from evomerge.documents import Tree, shown
from evomerge.errors import ConfigError, Problem

RECORD = "zoo.json"


def build_zoo(folder: Path, plan: ZooPlan, report: Callable[[Progress], None]) -> None:
    """Make `folder` hold the zoo of `plan`: `base/`, one folder per expert, `tasks/` and `zoo.json`.

    Models that are already there and whole are kept, so a second call returns at once and an interrupted build goes on
    with the model it was at. The same plan gives the same weights, byte for byte, on the same machine and versions.

    Args:
        folder: Made if missing.
        plan: What to build.
        report: Told about the training from time to time.

    Raises:
        ConfigError: If the folder holds another zoo, or files that are not a zoo's.
    """
    record = _open_record(folder, plan)
    for name in ("base", *plan.experts):
        if record["models"].get(name, {}).get("files") == _digests(folder / name):
            continue
        if name == "base":
            record["models"].clear()  # experts of a lost base would not be its experts
        started = time.perf_counter()
        with one_thread():
            _write_model(folder, name, plan, report)
        seconds = round(time.perf_counter() - started, 1)
        record["models"][name] = {"seconds": seconds, "versions": _versions(), "files": _digests(folder / name)}
        _write(folder / RECORD, _as_json(record))
    for path, text in task_files(folder / "tasks", plan).items():
        _write(path, text)
    record["tasks"] = _digests(folder / "tasks" / "data")
    _write(folder / RECORD, _as_json(record))


def _open_record(folder: Path, plan: ZooPlan) -> Tree:
    """What is known about the folder; begun if there is nothing in it."""
    wanted = json.loads(json.dumps(dataclasses.asdict(plan)))
    if folder.is_file():
        raise ConfigError.at(str(folder), "is a file. A zoo needs a folder: choose another path.")
    if not (folder / RECORD).is_file():
        ConfigError.raise_if_any(
            Problem(
                str(folder / name), f"is in the way: it is not of a zoo, for there is no {RECORD}. Choose a new folder."
            )
            for name in ("base", *plan.experts, "tasks")
            if (folder / name).exists()
        )
        record = {"evomerge": "zoo/1", "plan": wanted, "models": {}, "tasks": {}}
        _write(folder / RECORD, _as_json(record))
        return record
    return _check_record(folder / RECORD, wanted)


def _check_record(path: Path, wanted: Tree) -> Tree:
    """The record of a zoo of the wanted plan.

    Raises:
        ConfigError: With one problem per difference between the plans.
    """
    advice = "Choose another folder, or delete this one to build anew."
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        built = record["plan"]
        if record["evomerge"] != "zoo/1" or not isinstance(record["models"], dict):
            raise KeyError("evomerge")
    except (ValueError, KeyError, TypeError):
        raise ConfigError.at(str(path), f"is not the record of a zoo. {advice}") from None
    ConfigError.raise_if_any(
        Problem(f"{path}: plan.{name}", f"{shown(built.get(name))} here, {shown(wanted.get(name))} asked for. {advice}")
        for name in {**wanted, **built}
        if built.get(name) != wanted.get(name)
    )
    return record


def _write_model(folder: Path, name: str, plan: ZooPlan, report: Callable[[Progress], None]) -> None:
    """Train one model and put its folder in place as a whole."""
    if name == "base":
        generator = torch.Generator().manual_seed(seeds.integer(plan.seed, "zoo", "weights"))
        model, course = new_model(plan, generator), plan.base
    else:
        with _no_progress_bars():
            model = LlamaForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
        course = plan.experts[name]
    train(name, model, course, plan.batch_size, seeds.integer(plan.seed, "zoo", "training", name), report)
    partial = folder / f".{name}.partial"
    for remains in (partial, folder / name):
        shutil.rmtree(remains, ignore_errors=True)
    with _no_progress_bars():
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


def _digests(folder: Path) -> dict[str, str]:
    """File name to sha256, of all files directly in a folder; empty if there is none."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files}


def _as_json(record: Tree) -> str:
    return json.dumps(record, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, unless it already says so."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
