"""Rooting: relative paths in settings made absolute, so that a run can be resumed from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evomerge.documents import Tree
from evomerge.settings import Settings


def rooted(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths made absolute, where they lead to something."""
    space, fitness = dict(settings.search_space), dict(settings.fitness)
    models = space.get("models")
    if isinstance(models, Mapping):
        space["models"] = {name: _rooted(model, "path", folder) for name, model in models.items()}
    calibration = space.get("calibration")
    if isinstance(calibration, Mapping):
        space["calibration"] = {name: _rooted(data, "data", folder) for name, data in calibration.items()}
    tasks = fitness.get("tasks")
    if isinstance(tasks, Mapping):
        fitness["tasks"] = {label: _rooted_bank(task, folder) for label, task in tasks.items()}
    include = fitness.get("include")
    if isinstance(include, list):
        fitness["include"] = [_absolute(entry, folder) for entry in include]
    start_from = _absolute(settings.start_from, folder)
    return settings.model_copy(update={"search_space": space, "fitness": fitness, "start_from": start_from})


def _rooted(entry: Tree, key: str, folder: Path) -> Tree:
    """A path, or a mapping with one under this key."""
    if isinstance(entry, Mapping):
        return {**entry, key: _absolute(entry.get(key), folder)}
    return _absolute(entry, folder)


def _rooted_bank(task: Tree, folder: Path) -> Tree:
    return _rooted(task, "bank", folder) if isinstance(task, Mapping) and task.get("bank") else task


def _absolute(path: Tree, folder: Path) -> Tree:
    return str((folder / path).resolve()) if isinstance(path, str) and (folder / path).exists() else path
