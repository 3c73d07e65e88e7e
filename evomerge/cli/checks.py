"""Checks of one file: what configs, headers and names tell before weights or items are loaded, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evomerge.checkpoints import check_mergeable, stretches_of
from evomerge.cli.sources import check_headers, idle_rules, locator
from evomerge.documents import Tree, parse, shown
from evomerge.errors import ConfigError, Problem
from evomerge.fitness import Fitness, FitnessSpec
from evomerge.fitness.banks import read_banks
from evomerge.fitness.rivals import rivals
from evomerge.merging import Library
from evomerge.merging.statistics import data_digest
from evomerge.recipe import Recipe
from evomerge.recipe.calibration import Calibration
from evomerge.recipe.mergekit import is_evolve, is_mergekit, read_mergekit
from evomerge.spaces import bind, parse_space
from evomerge.spaces.evolve import convert_evolve
from evomerge.spaces.lineage import is_breed, lattice_of, parse_breed
from evomerge.study import check_layers

_WEIGHTS = "what the models' weights contain"


@dataclass(frozen=True, slots=True)
class Sound:
    """A file in which nothing wrong was found.

    Attributes:
        kind: What it is.
        remarks: What may be meant otherwise.
        unchecked: What was not looked at, and who does.
        models: Names of the models of a search space.
        spec: The document, of a fitness.
    """

    kind: str
    remarks: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    spec: FitnessSpec | None = None


def check(tree: Mapping[str, Tree], where: str, shelf: Path | None, *, with_data: bool) -> Sound:
    """Check a file of any kind that evomerge reads.

    Args:
        tree: Its plain data.
        where: Its name, for messages.
        shelf: Where else the models of a mergekit file are looked for.
        with_data: Whether tasks are loaded with their data, which may be fetched for it.

    Raises:
        ConfigError: With all problems that can be told together.
    """
    kind = tree.get("evomerge")
    if kind == "space/1":
        return _breed(tree, where) if is_breed(tree) else _space(tree, where)
    if kind == "fitness/1":
        return _fitness(tree, where, with_data=with_data)
    if kind == "recipe/1":
        recipe = parse(Recipe, tree, where)
        return _recipe(recipe, where, f"recipe, {recipe.digest[:12]}")
    if is_mergekit(tree):
        reading = read_mergekit(tree, where, locator(shelf))
        return _recipe(reading.recipe, where, f"mergekit recipe, {reading.recipe.digest[:12]}", reading.remarks)
    if is_evolve(tree):
        convert_evolve(tree, where, locator(shelf))
        return Sound("mergekit-evolve file; `evomerge convert` makes a search of it")
    if "defaults" in tree:
        how = f"`evomerge plan experiment={Path(where).stem}` checks it, with the space and the fitness that it names."
        raise ConfigError.at(where, f"is an experiment, which stands for words of a command line. {how}")
    what = f'"evomerge" is {shown(kind)}. Say what the file is: space/1, fitness/1 or recipe/1.'
    raise ConfigError.at(where, what)


def _space(tree: Mapping[str, Tree], where: str) -> Sound:
    document = parse_space(tree, where)
    problems = list(_data_problems(document.calibration or {}, where))
    try:
        checkpoints = Library().open_all(document.models, where)
        check_layers(document, checkpoints, where)
        bind(document, document.models, {name: one.num_layers for name, one in checkpoints.items()}, where)
    except ConfigError as error:
        problems += error.problems
    ConfigError.raise_if_any(problems)
    statistics = f"whether statistics were measured: `evomerge calibrate statistics {where}` makes sure"
    unchecked = (_WEIGHTS, statistics) if document.calibration else (_WEIGHTS,)
    models = tuple(document.models)
    return Sound(f"search space over {', '.join(models)}", unchecked=unchecked, models=models)


def _data_problems(calibration: Mapping[str, Calibration], where: str) -> Iterator[Problem]:
    for name, data in calibration.items():
        try:
            data.digest or data_digest(data, f"{where}: calibration.{name}.data")
        except ConfigError as error:
            yield from error.problems


def _breed(tree: Mapping[str, Tree], where: str) -> Sound:
    document = parse_breed(tree, where)
    breed = document.breed
    checkpoints = Library().open_all(document.models, where)
    check_mergeable(checkpoints, where)
    stretches = stretches_of(checkpoints[breed.origin or breed.experts[0]])
    lattice_of(stretches, breed.chromosomes, breed.resolution, f"{where}: breed.chromosomes")
    kind = f"search space bred from {', '.join(breed.experts)}"
    return Sound(kind, unchecked=(_WEIGHTS,), models=tuple(document.models))


def _fitness(tree: Mapping[str, Tree], where: str, *, with_data: bool) -> Sound:
    from evomerge.fitness.loading import faults_of_names  # brings lm-eval along, which takes seconds

    spec = parse(FitnessSpec, tree, where)
    problems = list(faults_of_names(spec, where))
    read_banks(spec, where, problems)
    ConfigError.raise_if_any(problems)
    if with_data:
        Fitness.open(spec, where)
    unloaded = "the data, metrics and filters of its tasks, and how many items they have: --data loads them"
    kind = f"fitness with the objectives {', '.join(spec.objectives)}"
    return Sound(kind, unchecked=() if with_data else (unloaded,), spec=spec)


def _recipe(recipe: Recipe, where: str, kind: str, remarks: tuple[str, ...] = ()) -> Sound:
    library = Library()
    recipe = check_headers(recipe, library, where)
    unchecked = f"{_WEIGHTS}, nor that they are those of its digests" if _digests(recipe) else _WEIGHTS
    return Sound(kind, (*remarks, *idle_rules(recipe, library)), (unchecked,))


def _digests(recipe: Recipe) -> bool:
    return any(model.digest for model in recipe.models.values())


def rivals_unchecked(spec: FitnessSpec) -> str | None:
    """What cannot be told of a fitness without the search space; None if all can."""
    named = ", ".join(rivals(spec))
    return f"whether the search space has {named}, which it compares with: name the space's file too" if named else None
