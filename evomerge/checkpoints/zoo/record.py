"""`zoo.json`: what a zoo's folder holds and which plan it was built to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pydantic

from evomerge.checkpoints.zoo.plan import ZooPlan
from evomerge.documents import Tree, Value, key, shown
from evomerge.errors import ConfigError, Problem

ADVICE = "Choose another folder, or delete this one to build anew."


class Built(Value):
    """One finished model.

    Attributes:
        seconds: Its training and writing took, by the clock.
        versions: Package to version.
        files: File name to sha256.
    """

    seconds: float
    versions: dict[str, str]
    files: dict[str, str]


class Record(Value):
    """The contents of `zoo.json`.

    Attributes:
        evomerge: Tells what the file is.
        plan: The plan as plain data.
        models: Name to finished model; the others are still to be trained.
        tasks: Name of a data file of the tasks to its sha256.
    """

    evomerge: Literal["zoo/1"]
    plan: dict[str, Any]
    models: dict[str, Built]
    tasks: dict[str, str]

    @classmethod
    def path(cls, folder: Path) -> Path:
        """Where the record of a zoo lies."""
        return folder / "zoo.json"

    @classmethod
    def open(cls, folder: Path, plan: ZooPlan) -> Record:
        """What is known about a folder that is to hold a zoo of this plan; an empty record if it is new.

        Raises:
            ConfigError: If the folder holds another zoo, or files in the way of this one.
        """
        plain = json.loads(json.dumps(dataclasses.asdict(plan)))
        wanted = cls(evomerge="zoo/1", plan=plain, models={}, tasks={})
        if not cls.path(folder).is_file():
            ConfigError.raise_if_any(_in_the_way(folder, plan))
            return wanted
        try:
            record = cls.model_validate_json(cls.path(folder).read_bytes())
        except pydantic.ValidationError:
            raise ConfigError.at(str(cls.path(folder)), f"is not the record of a zoo. {ADVICE}") from None
        where = cls.path(folder)
        ConfigError.raise_if_any(_differences(where, record.plan, wanted.plan, ("plan",)))
        return record

    def with_model(self, name: str, built: Built) -> Record:
        """The record once a model is finished. Experts of a lost base would not be its experts: they go with it."""
        others = {} if name == "base" else self.models
        return self.model_copy(update={"models": {**others, name: built}})

    def with_tasks(self, tasks: dict[str, str]) -> Record:
        """The record once the tasks are written."""
        return self.model_copy(update={"tasks": tasks})

    def write(self, folder: Path) -> None:
        """Put the record in its place."""
        write(self.path(folder), f"{self.model_dump_json(indent=2)}\n")


def digests(folder: Path) -> dict[str, str]:
    """File name to sha256 of all files directly in a folder; empty if there is none."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return {path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files}


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, unless it already says so."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _in_the_way(folder: Path, plan: ZooPlan) -> list[Problem]:
    """What stands where a new zoo would be written."""
    if folder.is_file():
        return [Problem(str(folder), "is a file. A zoo needs a folder: choose another path.")]
    return [
        Problem(
            str(folder / name), "is in the way: the folder is not a zoo's, it has no zoo.json. Choose a new folder."
        )
        for name in ("base", *plan.experts, "tasks")
        if (folder / name).exists()
    ]


def _differences(where: Path, built: Tree, wanted: Tree, steps: tuple[str, ...]) -> list[Problem]:
    """One problem per value in which two plans differ."""
    if isinstance(built, dict) and isinstance(wanted, dict):
        return [
            problem
            for name in {**wanted, **built}
            for problem in _differences(where, built.get(name), wanted.get(name), (*steps, name))
        ]
    if built == wanted:
        return []
    return [Problem(f"{where}: {key(steps)}", f"{shown(built)} here, {shown(wanted)} asked for. {ADVICE}")]
