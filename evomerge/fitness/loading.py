"""Loading: a fitness document's tasks, found, checked and prepared."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import lm_eval.tasks
import numpy as np
import yaml
from datasets.exceptions import DatasetsError
from lm_eval.api.metrics import bits_per_byte, mean, perplexity, weighted_perplexity
from lm_eval.api.registry import metric_registry
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from evomerge.documents import suggestion
from evomerge.errors import ConfigError, Problem
from evomerge.fitness.isolation import isolated
from evomerge.fitness.measures import MEASURES, BaseMeasure
from evomerge.fitness.replies import reply
from evomerge.fitness.spec import FitnessSpec, TaskEntry
from evomerge.fitness.tasks import Answer, ScoredTask, fingerprint, metrics, remember_texts, take_in
from evomerge.fitness.trust import code_in

_BROKEN = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ImportError),
    *(yaml.YAMLError, jinja2.TemplateError, DatasetsError),
)
"""What lm-eval and datasets raise for a task file that says something wrong, or whose data are out of reach."""

_TASK_LINE = re.compile(r"""^["']?task["']?:[ \t]*["']?([^\s"'#\[]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)

_MADE_UP: dict[str, Answer] = {"loglikelihood": (-1.0, False), "loglikelihood_rolling": -1.0, "generate_until": ""}
"""Answers by request type, to see what a task makes of them."""

_SCALES = {mean: 1.0, perplexity: -1.0, weighted_perplexity: -1.0, bits_per_byte: -1 / math.log(2)}
"""What a score is per unit of lm-eval's value of an item, by how lm-eval puts items together; all it does per item."""


def load_tasks(spec: FitnessSpec, where: str) -> dict[str, ScoredTask]:
    """Load every task of a fitness document.

    Args:
        spec: The document.
        where: Its name, for messages.

    Returns:
        By label, in the order of the document.

    Raises:
        ConfigError: With all problems: no such folder, task, metric or filter; code that is not allowed; data that
            cannot be read; a task that draws its answers at random, or that needs more than text.
    """
    folders = _folders(spec)
    ConfigError.raise_if_any(_missing_folders(folders, where))
    tasks: dict[str, ScoredTask] = {}
    problems: list[Problem] = []
    library = _Library(folders)
    for label in spec.tasks:
        try:
            with isolated():
                tasks[label] = _load(library, spec, label, f"{where}: tasks.{label}")
        except ConfigError as error:
            problems += error.problems
    ConfigError.raise_if_any(problems)
    return tasks


def faults_of_names(spec: FitnessSpec, where: str) -> Iterator[Problem]:
    """What is wrong with the folders and tasks that a document names, as far as it can be told without their data.

    Args:
        spec: The document.
        where: Its name, for messages.
    """
    folders = _folders(spec)
    if missing := list(_missing_folders(folders, where)):
        yield from missing
        return  # tasks may lie there
    library = _Library(folders)
    for label, entry in spec.tasks.items():
        place = f"{where}: tasks.{label}"
        try:
            file, own = library.find(entry.task, f"{place}.task")
        except ConfigError as error:
            yield from error.problems
            continue
        if own and not spec.allow_code:
            yield from _code_problems(file, place)


def _folders(spec: FitnessSpec) -> list[Path]:
    return [Path(folder).expanduser() for folder in spec.include]


def _missing_folders(folders: list[Path], where: str) -> Iterator[Problem]:
    for index, folder in enumerate(folders):
        if not folder.is_dir():
            what = f"there is no folder {folder}. Check the path; it starts from {Path.cwd()}."
            yield Problem(f"{where}: include[{index}]", what)


class _Library:
    """Task files by the tasks' names: those of the user's folders, then the harness's own."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        with isolated():
            self._manager = TaskManager(include_path=folders, include_defaults=False)
        self._own = {name: Path(self._manager.task_index[name].yaml_path) for name in self._manager.all_subtasks}
        self._shipped: dict[str, Path] | None = None

    @property
    def shipped(self) -> dict[str, Path]:
        """The harness's own tasks, found by their `task:` lines: 2 s for 13,000 files that lm-eval parses in 20."""
        if self._shipped is None:
            files = sorted(Path(lm_eval.tasks.__file__).parent.glob("**/*.yaml"))
            lines = ((_TASK_LINE.search(file.read_text(encoding="utf-8")), file) for file in files)
            self._shipped = {line[1]: file for line, file in lines if line}
        return self._shipped

    def find(self, name: str, where: str) -> tuple[Path, bool]:
        """The file of a task, and whether it is the user's own."""
        if name in self._own:
            return self._own[name], True
        if name in self.shipped:
            return self.shipped[name], False
        close = difflib.get_close_matches(name, [*self._own, *self.shipped], n=3)
        own = (
            f"Your folders have: {', '.join(sorted(self._own))}."
            if self._own
            else "`include` names no folder of yours."
        )
        hint = f"Did you mean {' or '.join(close)}?" if close else own
        advice = "A group is named by its tasks. The folder of your own tasks goes to `include`."
        unread = "".join(f" {file} is not YAML and was left out." for file in self._unreadable())
        raise ConfigError.at(where, f'there is no lm-eval task "{name}". {hint} {advice}{unread}')

    def _unreadable(self) -> Iterator[Path]:
        """The user's files that lm-eval skips without a word."""
        for file in (file for folder in self._folders for file in sorted(folder.glob("**/*.yaml"))):
            try:
                yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                yield file

    def load(self, file: Path) -> Task:
        (task,) = self._manager.load([str(file)])["tasks"].values()
        return task


def _load(library: _Library, spec: FitnessSpec, label: str, where: str) -> ScoredTask:
    entry = spec.tasks[label]
    file, own = library.find(entry.task, f"{where}.task")
    try:
        if own and not spec.allow_code:
            ConfigError.raise_if_any(_code_problems(file, where))
        task = library.load(file)
        documents = [dict(doc) for doc in task.eval_docs]
        if entry.generation and task.OUTPUT_TYPE == "generate_until":
            task.set_config(key="generation_kwargs", value=entry.generation, update=True)
        ConfigError.raise_if_any(_problems(task, entry, spec, where))
        _set_examples(task, entry)
        remember_texts(task)
        return _checked(task, label, documents, spec, where)
    except _BROKEN as error:
        what = f"lm-eval cannot use {file}: {type(error).__name__}: {error}. Mend the file, or fetch its data first."
        raise ConfigError.at(f"{where}.task", what) from error


def _code_problems(file: Path, where: str) -> Iterator[Problem]:
    if places := list(code_in(file, metric_registry.keys())):
        what = f"the task runs code of its own ({'; '.join(places)}). If you trust it, set allow_code: true."
        yield Problem(f"{where}.task", what)


def _problems(task: Task, entry: TaskEntry, spec: FitnessSpec, where: str) -> Iterator[Problem]:
    """What keeps a task from being scored as the document asks."""
    if getattr(task, "MULTIMODAL", False):
        yield Problem(f"{where}.task", f"{entry.task} shows images or sound. Choose a task of text.")
    if getattr(task, "UNSAFE_CODE", False) and not spec.allow_code:
        what = f"{entry.task} runs what the model writes. If that is safe on this machine, set allow_code: true."
        yield Problem(f"{where}.task", what)
    if task.OUTPUT_TYPE != "generate_until" and (entry.generation or spec.enable_thinking):
        place = f"{where}.generation" if entry.generation else f"{where.split(': ')[0]}: enable_thinking"
        what = f"{entry.task} compares given answers, the model writes none. Leave the key out, or choose another task."
        yield Problem(place, what)
    decoding = task.config.generation_kwargs or {}
    if decoding.get("do_sample", float(decoding.get("temperature", 0)) > 0):
        what = f"{entry.task} draws answers at random, which no run could repeat. Set generation: {{do_sample: false}}."
        yield Problem(f"{where}.task", what)
    pool = getattr(getattr(task, "sampler", None), "df", None)
    if entry.num_fewshot and task.config.num_fewshot == 0:
        what = f"{entry.task} is never shown with examples (its file says num_fewshot: 0). Leave the key out."
        yield Problem(f"{where}.num_fewshot", what)
    elif entry.num_fewshot and pool is not None and len(pool) <= entry.num_fewshot:
        what = f"{entry.task} has {len(pool)} documents to take examples from. Ask for fewer than that."
        yield Problem(f"{where}.num_fewshot", what)
    if isinstance(entry.metric, BaseMeasure) and task.OUTPUT_TYPE not in entry.metric.output_types:
        kinds = " or ".join(entry.metric.output_types)
        what = f"{entry.metric.name} is measured on tasks of {kinds}, and {entry.task} is one of {task.OUTPUT_TYPE}."
        yield Problem(f"{where}.metric", f"{what} Choose another task or measure.")
    filters = [ensemble.name for ensemble in task._filters]
    if entry.filter is None and len(filters) > 1:
        yield Problem(where, f"{entry.task} has several filters. Choose one by `filter`: {', '.join(filters)}.")
    elif entry.filter is not None and entry.filter not in filters:
        what = f'"{entry.filter}" is not a filter of {entry.task}. {suggestion(entry.filter, filters)}'
        yield Problem(f"{where}.filter", what)


def _set_examples(task: Task, entry: TaskEntry) -> None:
    """Settle the number of examples as lm-eval does: the document's, else the task's, else none."""
    if entry.num_fewshot is not None:
        task.set_config(key="num_fewshot", value=entry.num_fewshot)
    elif task.config.num_fewshot is None:
        task.set_config(key="num_fewshot", value=0)


def _checked(task: Task, label: str, documents: list[dict[str, Any]], spec: FitnessSpec, where: str) -> ScoredTask:
    """The task with its metric, tried on one document with made-up answers to see that it has one number per item."""
    entry = spec.tasks[label]
    chosen = entry.filter or task._filters[0].name
    scored = ScoredTask(
        label=label,
        task=task,
        documents=documents,
        metric=entry.metric,
        filter=chosen,
        higher_is_better=True,
        scale=1.0,
        system_instruction=spec.system_instruction,
        fingerprint=fingerprint(task, entry.metric, chosen, spec),
    )
    ((_, requests),) = scored.requests([0], chat_template=None)
    take_in(task, chosen, [requests], [_MADE_UP[request.request_type] for request in requests])
    if not isinstance(entry.metric, str):
        entry.metric.of(reply(task, chosen, requests, where))
        return scored
    measured = metrics(task, chosen, requests)
    per_item = [name for name, value in measured.items() if _is_per_item(value, _aggregation(task, name))]
    if entry.metric not in per_item:
        raise ConfigError.at(f"{where}.metric", _metric_advice(entry.task, entry.metric, list(measured), per_item))
    if (scale := _SCALES[_aggregation(task, entry.metric)]) < 0:
        return dataclasses.replace(scored, scale=scale, higher_is_better=False)
    return dataclasses.replace(scored, higher_is_better=bool(task.higher_is_better().get(entry.metric, True)))


def _metric_advice(task: str, metric: str, measured: list[str], per_item: list[str]) -> str:
    if metric in measured:
        what = f"lm-eval does not average {metric} over items, so no item has a score of its own."
        return f"{what} Metrics of {task} that do: {', '.join(per_item) or 'none; choose another task'}."
    if metric in MEASURES:
        return f"{task} has no metric of that name. For evomerge's measure write {{name: {metric}}}."
    advice = suggestion(metric, per_item) if per_item else "It has none with a score per item; choose another task."
    return f'"{metric}" is not a metric of {task}. {advice}'


def _aggregation(task: Task, metric: str) -> Callable[..., Any]:
    found: Callable[..., Any] = task.aggregation().get(metric, mean)
    return found


def _is_per_item(value: object, aggregation: Callable[..., Any]) -> bool:
    """Whether lm-eval's value of an item is a number; of a running text, its log-likelihood and its length are two."""
    is_weighted = aggregation in (weighted_perplexity, bits_per_byte)
    parts = value if is_weighted and isinstance(value, tuple) else (value,)
    return aggregation in _SCALES and all(isinstance(part, (numbers.Real, np.bool_)) for part in parts)
