"""A study: the parts of a search, made from its settings and checked against one another before anything runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge import seeds
from evomerge.checkpoints import Checkpoint, check_mergeable, digest_of, merge_problems, route_problems, stretches_of
from evomerge.documents import Tree, parse, tree_of
from evomerge.errors import ConfigError, Problem
from evomerge.execution import Executor
from evomerge.execution.device import check_gpus, resolve_device
from evomerge.execution.inline import InlineExecutor
from evomerge.execution.worker import WorkerPlan
from evomerge.fitness import Fitness, FitnessSpec
from evomerge.fitness.rivals import unknown_rivals
from evomerge.merging import Library
from evomerge.merging.grams import kept_grams
from evomerge.merging.statistics import data_digest
from evomerge.optimizers.base import Optimizer
from evomerge.optimizers.registry import make_optimizer
from evomerge.recipe.calibration import Calibration
from evomerge.recipe.recipe import ModelRef, Recipe
from evomerge.runs.budget import Budget
from evomerge.settings import InlineSettings, RaySettings, Settings
from evomerge.spaces import (
    SearchSpace,
    SpaceFile,
    bind,
    corner_recipe,
    depth_problems,
    kin_in,
    measured_in,
    parse_space,
)
from evomerge.spaces.holes import corners
from evomerge.spaces.lineage import BreedFile, Lineage, LineageSpace, bind_breed, is_breed, lattice_of, parse_breed
from evomerge.warm_start import starts_of, with_starts

ROUTED = 2.0
"""How much more layer routes may differ from their parents than merges of parameters, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Study:
    """Everything a search needs.

    Attributes:
        settings: What it was made from.
        space: What may be merged.
        fitness: What better means.
        identity: What must be the same for a run to go on.
    """

    settings: Settings
    space: SearchSpace | LineageSpace
    fitness: Fitness
    identity: Mapping[str, Any]

    def optimizer(self) -> Optimizer:
        """A fresh optimiser.

        Raises:
            ConfigError: If it does not suit the space or the number of objectives.
        """
        return make_optimizer(
            self.settings.optimizer,
            self.space.lineage if isinstance(self.space, LineageSpace) else self.space.genes,
            self.fitness.num_objectives,
            seeds.integer(self.settings.seed, "optimizer"),
            self.space.seeds,
            self.settings.candidates,
        )

    @property
    def some_recipe(self) -> Recipe:
        """A recipe of the space: the first of its seeds, else one end of every gene."""
        return _some_recipe(self.space)

    @property
    def budget(self) -> Budget:
        """What the search may spend."""
        settings = self.settings
        return Budget(settings.candidates, settings.items, settings.tokens, settings.seconds)

    def check_machine(self) -> None:
        """Refuse devices that this machine lacks; those of a cluster are its own affair.

        Raises:
            ConfigError: If it does.
        """
        match self.settings.executor:
            case RaySettings(address=None, workers=workers, gpus=gpus):
                check_gpus(workers, gpus, "executor.gpus")
            case InlineSettings(device=device):
                resolve_device(device, "executor.device")

    def executor(self) -> Executor:
        """A running executor; the caller closes it."""
        return open_executor(self.settings, self.worker_plan())

    def worker_plan(self) -> WorkerPlan:
        """What workers are built from, here or elsewhere."""
        executor = self.settings.executor
        return WorkerPlan(
            recipe=self.some_recipe,
            fitness=self.fitness.spec,
            where=self.settings.file("fitness"),
            device=_device(executor),
            num_threads=executor.threads,
            is_fused=executor.fused,
            room_bytes=int(executor.cache_gb * 1e9),
        )


def assemble(settings: Settings) -> Study:
    """Make and check all parts of a search. Reads models' headers and tasks; loads no model.

    Raises:
        ConfigError: With all problems that can be told at this point.
    """
    space = with_starts(open_space(settings), settings.starts)
    models = _some_recipe(space).models
    fitness = open_fitness(settings)
    ConfigError.raise_if_any(unknown_rivals(fitness.spec, models, settings.file("fitness")))
    identity = {
        "models": {name: model.digest for name, model in models.items()},
        "space": _digest(space.template),
        "genes": [gene.name for gene in space.genes],
        "starts": tree_of(settings)["starts"],
        "fitness": _digest(settings.fitness),
        "items": _digest({label: sorted(known.values()) for label, known in fitness.splits.digests.items()}),
        "banks": {label: bank.digest for label, bank in fitness.banks.items()},
        "optimizer": settings.optimizer,
        "generation": settings.generation,
        "seed": settings.seed,
        "threads": settings.executor.threads,
    }
    study = Study(settings, space, fitness, identity)
    study.optimizer()  # refuses what does not suit before a model is loaded
    return study


def with_filled_starts(settings: Settings) -> Settings:
    """The settings with the individuals that `start_from` stands for, so that their run needs the other no more.

    Raises:
        ConfigError: If there are none, or if they do not lie in the space.
    """
    if settings.start_from is None:
        return settings
    return settings.model_copy(update={"starts": starts_of(Path(settings.start_from), open_space(settings))})


def open_space(settings: Settings) -> SearchSpace | LineageSpace:
    """The space of a run, bound to its models; what the run starts from is not among its seeds yet.

    Raises:
        ConfigError: With all problems of the document and its models.
    """
    where = settings.file("search_space")
    bred = is_breed(settings.search_space)
    document = parse_breed(settings.search_space, where) if bred else parse_space(settings.search_space, where)
    checkpoints = Library().open_all(document.models, where)
    if isinstance(document, BreedFile):
        check_mergeable(checkpoints, where)
    else:
        check_layers(document, checkpoints, where)
    models = {
        name: document.models[name].model_copy(update={"digest": digest_of(checkpoint)})
        for name, checkpoint in checkpoints.items()
    }
    _check_digests(document.models, models, where)
    if isinstance(document, BreedFile):
        return _bred(document, models, checkpoints, where)
    return _bound(document, models, checkpoints, where)


def _bound(
    document: SpaceFile, models: Mapping[str, ModelRef], checkpoints: Mapping[str, Checkpoint], where: str
) -> SearchSpace:
    """A space of genes."""
    document = document.model_copy(update={"calibration": _calibration(document, where)})
    _check_statistics(document, models, where)
    return bind(document, models, {name: one.num_layers for name, one in checkpoints.items()}, where)


def check_layers(document: SpaceFile, checkpoints: Mapping[str, Checkpoint], where: str) -> None:
    """Refuse models that do not go together, and layers that they do not have, before a file of weights is read.

    Raises:
        ConfigError: With all problems.
    """
    depths = {name: checkpoint.num_layers for name, checkpoint in checkpoints.items()}
    problems = merge_problems(checkpoints, where, kin_in(document, where))
    if document.route is not None and not problems:
        some = corner_recipe(document, where)
        problems += route_problems(checkpoints, some.donor, map(some.donor_of, document.route.sources), where)
    ConfigError.raise_if_any([*problems, *depth_problems(document, depths, where)])


def _bred(
    document: BreedFile, models: Mapping[str, ModelRef], checkpoints: Mapping[str, Checkpoint], where: str
) -> LineageSpace:
    """A space of members, after measuring its models where that was not done before."""
    breed = document.breed
    experts = [checkpoints[name] for name in breed.experts]
    origin = checkpoints[breed.origin] if breed.origin else None
    stretches = stretches_of(origin or experts[0])
    lattice = lattice_of(stretches, breed.chromosomes, breed.resolution, f"{where}: breed.chromosomes")
    cells = [(cell.tensor, (cell.start, cell.stop)) for cell in lattice.cells]
    contents = [_content(models, name) if name else None for name in (*breed.experts, breed.origin)]
    gram_LKK = kept_grams(experts, origin, cells, contents)
    return bind_breed(document, models, Lineage(breed.experts, lattice, gram_LKK, origin is not None), where)


def _content(models: Mapping[str, ModelRef], name: str) -> str:
    """What tells the weights of a model from others': an adapter's are its base's too."""
    model = models[name]
    return f"{model.digest} on {models[model.adapts].digest}" if model.adapts else str(model.digest)


def open_fitness(settings: Settings) -> Fitness:
    """The fitness of a run, without its models.

    Raises:
        ConfigError: With all problems of the document and its tasks.
    """
    where = settings.file("fitness")
    fitness = Fitness.open(parse(FitnessSpec, settings.fitness, where), where)
    return dataclasses.replace(fitness, widening=ROUTED) if "route" in settings.search_space else fitness


def open_executor(settings: Settings, plan: WorkerPlan) -> Executor:
    """Start the executor that the settings ask for."""
    match settings.executor:
        case RaySettings(workers=workers, gpus=gpus, address=address, timeout_s=timeout_s):
            from evomerge.execution.ray import RayExecutor  # Ray takes seconds to import

            return RayExecutor(plan, workers, gpus, address, timeout_s)
        case InlineSettings():
            return InlineExecutor(plan)


def _calibration(document: SpaceFile, where: str) -> dict[str, Calibration] | None:
    """The calibration data with its digests known. A file is not needed where its digest is given."""
    return document.calibration and {
        name: data.model_copy(update={"digest": data.digest or data_digest(data, f"{where}: calibration.{name}.data")})
        for name, data in document.calibration.items()
    }


def _check_statistics(document: SpaceFile, models: Mapping[str, ModelRef], where: str) -> None:
    """Statistics must be on disk before a search begins; measuring them is no worker's business."""
    library, problems = Library(), list[Problem]()
    for name, kind in measured_in(document, where):
        try:
            library.statistics(models[name], (document.calibration or {})[name], kind)
        except ConfigError as error:
            problems += [Problem(f"{where}: calibration.{name}", problem.what) for problem in error.problems]
    ConfigError.raise_if_any(problems)


def _check_digests(wanted: Mapping[str, ModelRef], found: Mapping[str, ModelRef], where: str) -> None:
    ConfigError.raise_if_any(
        Problem(
            f"{where}: models.{name}.digest", f"{model.path} has the digest {found[name].digest}. It is another model."
        )
        for name, model in wanted.items()
        if model.digest is not None and model.digest != found[name].digest
    )


def _digest(tree: Tree) -> str:
    text = json.dumps(tree, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _device(executor: InlineSettings | RaySettings) -> str:
    if isinstance(executor, RaySettings):
        return "cuda" if executor.gpus else "cpu"
    return resolve_device(executor.device, "executor.device")


def _some_recipe(space: SearchSpace | LineageSpace) -> Recipe:
    return space.decode(space.seeds[0] if space.seeds else tuple(next(corners(space.genes)).values()))
