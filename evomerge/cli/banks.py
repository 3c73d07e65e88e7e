"""`evomerge calibrate items`: item banks, from models that are scored now and from what is stored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from evomerge.checkpoints import digest_of
from evomerge.cli.bars import progress_bar
from evomerge.cli.scoring import alone, read_fitness
from evomerge.documents import suggestion
from evomerge.errors import ConfigError, Problem
from evomerge.execution import Items, Job, Responses
from evomerge.execution.inline import InlineExecutor
from evomerge.execution.worker import WorkerPlan
from evomerge.fitness import FitnessSpec, ItemSplits, load_tasks, split_items
from evomerge.fitness.irt import Bank, ResponseStore, fit_bank
from evomerge.fitness.irt.fit import FEWEST_MODELS
from evomerge.fitness.tasks import ScoredTask
from evomerge.merging import Library
from evomerge.recipe import Recipe, load_recipe
from evomerge.runs import Asked, Assessed, Evaluated, RunLog

_ENOUGH: Final = {"1pl": 100, "2pl": 200, "3pl": 1000, "mirt": 200}
"""Models by which the responses outweigh the priors, a rule of thumb."""


@dataclass(frozen=True, slots=True)
class _Bench:
    """A fitness document with the banks that are to be fitted.

    Attributes:
        where: The document's name.
        spec: The document.
        tasks: All its tasks.
        splits: Their items.
        files: Where each bank goes, by label.
    """

    where: str
    spec: FitnessSpec
    tasks: Mapping[str, ScoredTask]
    splits: ItemSplits
    files: Mapping[str, Path]

    @property
    def items(self) -> Items:
        """What models are asked: the search items. Candidates are estimated on no others."""
        return {label: self.splits.search[label] for label in self.files}

    def digests(self, label: str) -> list[str]:
        """Of the search items of a task."""
        return [self.splits.digests[label][position] for position in self.splits.search[label]]

    def right(self) -> dict[str, bool]:
        """Whether a high score is a good one, by the digest of every search item."""
        return {digest: self.tasks[label].higher_is_better for label in self.files for digest in self.digests(label)}


def fit_banks(given: argparse.Namespace) -> int:
    """Gather responses, fit one bank per task and show what came out. What can be wrong is found before scoring."""
    bench = _open(given)
    recipes = _recipes(given.models)
    store = ResponseStore()
    for folder in given.runs:
        _take_run(store, folder, bench.right())
    for file in given.banks:
        _take_bank(store, Bank.load(file), frozenset(bench.right()))
    if len(store) + len(recipes) < FEWEST_MODELS:
        what = f"{len(store) + len(recipes)} models with answers to these items are too few."
        raise ConfigError.at("calibrate items", f"{what} Name at least {FEWEST_MODELS} by --models, --runs or --banks.")
    with progress_bar("scoring") as progress:
        for number, (name, recipe) in enumerate(recipes.items()):
            progress(name, number, len(recipes))
            _take_model(store, bench, name, recipe, given)
    return _fit(bench, store, given)


def _open(given: argparse.Namespace) -> _Bench:
    where, spec = read_fitness(given.fitness, given.zoo)
    labels = tuple(dict.fromkeys(given.task or spec.searched))
    ConfigError.raise_if_any(
        Problem("calibrate items: --task", f'{where} has no task "{label}". {suggestion(label, spec.tasks)}')
        for label in labels
        if label not in spec.tasks
    )
    files = {label: _file(spec, label, given.out) for label in labels}
    ConfigError.raise_if_any(
        Problem(str(file), f"exists already. Remove it, or say --out FOLDER; `--banks {file}` takes what it knows.")
        for file in files.values()
        if file.exists()
    )
    tasks = load_tasks(spec, where)
    documents = {label: task.documents for label, task in tasks.items()}
    fingerprints = {label: task.fingerprint for label, task in tasks.items()}
    splits = split_items(documents, fingerprints, spec.splits, spec.items, where)
    return _Bench(where, spec, tasks, splits, files)


def _file(spec: FitnessSpec, label: str, folder: Path | None) -> Path:
    named = spec.tasks[label].bank
    if folder is None and named is not None:
        return Path(named).expanduser()
    return (folder or Path("banks")) / f"{label}.safetensors"


def _recipes(models: list[Path]) -> dict[str, Recipe]:
    """What is to be scored, by its name, with the digests of all models, so that it is known again in runs."""
    found: dict[str, Recipe] = {}
    problems: list[Problem] = []
    for path in models:
        try:
            recipe = load_recipe(path) if path.suffix in (".yaml", ".yml") else alone(path)
            checkpoints = Library().open_all(recipe.models, str(path))
        except ConfigError as error:
            problems += error.problems
            continue
        known = {
            name: model.model_copy(update={"digest": digest_of(checkpoints[name])})
            for name, model in recipe.models.items()
        }
        found[str(path)] = recipe.model_copy(update={"models": known})
    ConfigError.raise_if_any(problems)
    return found


def _take_model(store: ResponseStore, bench: _Bench, name: str, recipe: Recipe, given: argparse.Namespace) -> None:
    """Score one model; one that fails is left out, as the work on the others is not to be lost."""
    executor = InlineExecutor(WorkerPlan(recipe, bench.spec, bench.where, given.device, given.threads))
    executor.submit(Job(0, recipe, bench.items))
    (outcome,) = executor.wait()
    if outcome.failure is not None:
        print(f"{name} is left out: {outcome.failure}", file=sys.stderr)
    digests = {label: bench.splits.digests[label] for label in bench.items}
    store.add(name, recipe.digest, dict(_by_digest(bench.items, outcome.responses, digests, bench.right())))


def _take_run(store: ResponseStore, folder: Path, right: Mapping[str, bool]) -> None:
    """The candidates and finalists of a run. Recipes are told apart by their digests, also between runs."""
    with RunLog.read(folder) as log:
        digests: dict[str, dict[int, str]] = {}
        for (label, position), (_, digest) in log.items().items():
            digests.setdefault(label, {})[position] = digest
        recipes: dict[int, str] = {}
        for event in log.events():
            match event:
                case Asked(number=number, digest=digest):
                    recipes[number] = digest
                case Evaluated(number=number):
                    answers = _by_digest(event.items, event.responses, digests, right)
                    store.add(f"{folder}: candidate {number}", recipes[number], dict(answers))
                case Assessed(name=name, digest=digest):
                    answers = _by_digest(event.items, event.responses, digests, right)
                    store.add(f"{folder}: {name}", digest, dict(answers))


def _take_bank(store: ResponseStore, bank: Bank, wanted: frozenset[str]) -> None:
    known = bank.provenance
    digests = dict(zip(known.models, known.digests, strict=False))
    for name, scores_N in zip(known.models, bank.responses_MN, strict=True):
        pairs = zip(known.items, scores_N.tolist(), strict=True)
        answers = {item: score for item, score in pairs if item in wanted and not np.isnan(score)}
        store.add(name, digests.get(name, ""), answers)


def _by_digest(
    items: Items, responses: Responses, digests: Mapping[str, Mapping[int, str]], right: Mapping[str, bool]
) -> Iterator[tuple[str, float]]:
    """Scores by the digests of the wanted items; 1 is best."""
    for label, scores_I in responses.items():
        for position, score in zip(items[label], scores_I.tolist(), strict=True):
            digest = digests[label][position]
            if digest in right:
                yield digest, score if right[digest] else 1 - score


def _fit(bench: _Bench, store: ResponseStore, given: argparse.Namespace) -> int:
    table = Table("task", "models", "items", "asked", "told nothing", "dropped", "misfit")
    saved: list[str] = []
    problems: list[Problem] = []
    for label, file in bench.files.items():
        wanted = bench.digests(label)
        kept, rows = store.matrix(wanted)
        try:
            bank = fit_bank(
                rows,
                kept,
                task=bench.spec.tasks[label].task,
                task_version=str(bench.tasks[label].task.VERSION),
                metric=bench.spec.tasks[label].metric_words,
                method=given.kind,
                num_dimensions=given.dimensions,
                seed=given.seed,
                model_digests=store.digests(),
            )
        except ConfigError as error:
            problems += [Problem(f"{bench.where}: tasks.{label}", problem.what) for problem in error.problems]
            continue
        bank.save(file)
        table.add_row(label, *_summary(bank, len(wanted)))
        saved.append(label)
    if saved:
        Console().print(table)
        print("\n".join(_remarks(bench, saved, len(store), given.kind)))
    ConfigError.raise_if_any(problems)
    return 0


def _summary(bank: Bank, num_wanted: int) -> tuple[str, ...]:
    responses_MN = bank.responses_MN
    num_models, num_items = responses_MN.shape
    is_flat_N = np.nanmin(responses_MN, axis=0) == np.nanmax(responses_MN, axis=0)
    asked = f"{1 - np.isnan(responses_MN).mean():.0%}"
    misfit = f"{bank.provenance.misfit:.3f}"
    return str(num_models), str(num_items), asked, str(is_flat_N.sum()), str(num_wanted - num_items), misfit


def _remarks(bench: _Bench, labels: list[str], num_models: int, kind: str) -> Iterator[str]:
    """What the numbers mean, and what to do next."""
    yield "told nothing: all models answered alike. dropped: nobody was asked. misfit: mean error of half a score."
    if num_models < _ENOUGH[kind]:
        yield f"A {kind} speaks for itself from about {_ENOUGH[kind]} models on; of {num_models} the priors say much."
    for label in labels:
        file = bench.files[label]
        is_named = bench.spec.tasks[label].bank == str(file)
        yield f"{file}" + ("" if is_named else f": name it in {bench.where} as tasks.{label}.bank")
