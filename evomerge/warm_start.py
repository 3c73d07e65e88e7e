"""Warm starts: the finalists of an earlier run, or a recipe, as individuals to start a search from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from evomerge.checkpoints import digest_of
from evomerge.documents import Tree, parse, shown
from evomerge.errors import ConfigError, Problem
from evomerge.fitness.constraints import total_violation
from evomerge.merging import Library
from evomerge.recipe import Recipe, load_recipe
from evomerge.runs import Asked, Assessed, Finished, RunLog, Told
from evomerge.runs.log import identity_of
from evomerge.settings import Start
from evomerge.spaces import SearchSpace
from evomerge.spaces.genes import Gene, Genome, Scalar
from evomerge.spaces.lineage import LineageSpace
from evomerge.spaces.starts import NotInSpace

WHERE = "start_from"
"""The key of a search under which the earlier run stands, for messages."""

STARTS = "starts"
"""The key of a run's settings under which they are kept, for messages."""

Space: TypeAlias = SearchSpace | LineageSpace


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate that a finished run assessed in its finals.

    Attributes:
        name: For people.
        genome: What was asked.
        recipe: Plain data of what was merged.
    """

    name: str
    genome: Genome
    recipe: Mapping[str, Tree]


def starts_of(source: Path, space: Space) -> tuple[Start, ...]:
    """What a search starts from, in a form that needs the source no more.

    Args:
        source: Folder of a finished run, or file of a recipe.
        space: Of the search.

    Returns:
        Genomes, by name of gene where the space has genes; of a run those of its finalists, the best first.

    Raises:
        ConfigError: If some do not lie in the space.
    """
    is_recipe = source.suffix in (".yaml", ".yml")
    if isinstance(space, LineageSpace):
        recipes = {"the recipe": identified(source)} if is_recipe else recipes_of(source)
        return members_of(recipes, space, source)
    return (recipe_as_start(source, space),) if is_recipe else genomes_by_gene(source)


def with_starts(space: Space, starts: Sequence[Start]) -> Space:
    """The space with what is started from in front of its seeds.

    Raises:
        ConfigError: If the starts are not over the same genes, or have values that a gene cannot take here.
    """
    if isinstance(space, LineageSpace):
        genomes = tuple(start if isinstance(start, tuple) else () for start in starts)
        if not all(map(space.lineage.contains, genomes)):
            raise ConfigError.at(STARTS, "some are no members of this lineage. Leave it out: start_from fills it in.")
    else:
        named = tuple(start for start in starts if isinstance(start, dict))
        if len(named) < len(starts):
            raise ConfigError.at(STARTS, "some do not name their genes. Leave it out: start_from fills it in.")
        genomes = genomes_of(named, space.genes)
    return dataclasses.replace(space, seeds=(*genomes, *space.seeds))


def finalists_of(run_dir: Path) -> tuple[Finalist, ...]:
    """The candidates that a finished run assessed in its finals, under whatever name; lowest mean loss first.

    Those that broke constraints of the earlier search come last. A favourite that was never asked is none of them.

    Raises:
        ConfigError: If the folder holds no run, or one that is not finished.
    """
    with RunLog.read(run_dir) as log:
        events = list(log.events())
    if not any(isinstance(event, Finished) for event in events):
        raise ConfigError.at(WHERE, f"{run_dir} is not finished. Finish it: `evomerge resume {run_dir}`.")
    asked = {event.number: event for event in events if isinstance(event, Asked)}
    told = [event for event in events if isinstance(event, Told)]
    losses = {event.number: (total_violation(event.violations), sum(event.losses)) for event in told}
    assessed = [event for event in events if isinstance(event, Assessed) and event.kind == "finalist"]
    recipes = {event.digest: event.recipe for event in assessed if event.failure is None}
    found: dict[str, Finalist] = {}  # by digest: of candidates with one recipe one is enough
    for number in sorted(losses, key=lambda number: (losses[number], number)):
        if (digest := asked[number].digest) in recipes:
            found.setdefault(digest, Finalist(f"candidate {number}", asked[number].genome, recipes[digest]))
    return tuple(found.values())


def genomes_by_gene(run_dir: Path) -> tuple[dict[str, Scalar], ...]:
    """The genomes of a run's finalists by name of gene.

    Raises:
        ConfigError: Also if the run does not name its genes, or had none.
    """
    finalists = finalists_of(run_dir)
    with RunLog.read(run_dir) as log:
        names = identity_of(log).get("genes")
    if names is None:
        raise ConfigError.at(WHERE, f"{run_dir} does not say which genes it searched; an older evomerge made it.")
    if not names:
        what = f"{run_dir} bred its recipes, which have no genes. Start from it in a space with `breed`, or export one"
        raise ConfigError.at(WHERE, f"{what}, `evomerge export {run_dir} OUT`, and name OUT among the models.")
    return tuple(dict(zip(names, finalist.genome, strict=True)) for finalist in finalists)


def recipes_of(run_dir: Path) -> dict[str, Recipe]:
    """The recipes of a run's finalists by their names, bred or not."""
    return {
        finalist.name: parse(Recipe, dict(finalist.recipe), f"{run_dir}: {finalist.name}")
        for finalist in finalists_of(run_dir)
    }


def recipe_as_start(path: Path, space: SearchSpace) -> dict[str, Scalar]:
    """The genome of a recipe, such as a refined one, by name of gene.

    Raises:
        ConfigError: If it is no recipe of the space.
    """
    try:
        genome = space.encode(load_recipe(path))
    except NotInSpace as reason:
        what = f"{path} does not lie in the space: {reason}. Start from a recipe of this space, or widen it."
        raise ConfigError.at(WHERE, what) from None
    return {gene.name: value for gene, value in zip(space.genes, genome, strict=True)}


def identified(path: Path) -> Recipe:
    """A recipe whose models are known by their content, which those of a hand-written one are not."""
    recipe = load_recipe(path)
    opened = Library().open_all(recipe.models, str(path))
    digests = {name: model.digest or digest_of(opened[name]) for name, model in recipe.models.items()}
    models = {name: model.model_copy(update={"digest": digests[name]}) for name, model in recipe.models.items()}
    return recipe.model_copy(update={"models": models})


def members_of(recipes: Mapping[str, Recipe], space: LineageSpace, source: Path) -> tuple[Genome, ...]:
    """The members that are these recipes.

    Args:
        recipes: By their names.
        space: That of the members.
        source: Where they are from, for messages.

    Raises:
        ConfigError: If some are no members, with all reasons.
    """
    genomes: dict[Genome, None] = {}
    reasons: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        try:
            genomes[space.encode(recipe)] = None
        except NotInSpace as reason:
            reasons.setdefault(str(reason), []).append(name)
    remedy = f"Export one, `evomerge export {source} OUT`, and name OUT among the models and in breed.experts."
    ConfigError.raise_if_any(
        Problem(WHERE, f"{', '.join(names)} of {source} cannot be bred from: {reason}. {remedy}")
        for reason, names in reasons.items()
    )
    return tuple(genomes)


def genomes_of(starts: Sequence[Mapping[str, Scalar]], genes: Sequence[Gene]) -> tuple[Genome, ...]:
    """The same genomes in a search over these genes.

    Raises:
        ConfigError: If they are not over the same genes, or have values that a gene cannot take here.
    """
    names = {gene.name for gene in genes}
    if starts and starts[0].keys() != names:
        raise ConfigError.at(WHERE, f"the earlier run searched other genes: {_difference(set(starts[0]), names)}.")
    ConfigError.raise_if_any(dict.fromkeys(_misfits(starts, genes)))
    return tuple(tuple(start[gene.name] for gene in genes) for start in starts)


def _difference(there: set[str], here: set[str]) -> str:
    parts = [
        f"{count} {where} only, such as {shown(min(some))}"
        for some, where in ((there - here, "there"), (here - there, "here"))
        if (count := len(some))
    ]
    return f"{' and '.join(parts)}. Start from a run over the same search space"


def _misfits(starts: Sequence[Mapping[str, Scalar]], genes: Sequence[Gene]) -> Iterator[Problem]:
    for gene in genes:
        for start in starts:
            if not gene.contains(start[gene.name]):
                what = f'gene "{gene.name}" was {shown(start[gene.name])} there, which it cannot be here. Widen it.'
                yield Problem(WHERE, what)
