"""Warm starts: the finalists of an earlier run, or a recipe, as genomes to start a search from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evomerge.documents import shown
from evomerge.errors import ConfigError, Problem
from evomerge.fitness.constraints import total_violation
from evomerge.recipe import load_recipe
from evomerge.runs import Asked, Assessed, Finished, RunLog, Told
from evomerge.runs.log import identity_of
from evomerge.spaces import SearchSpace
from evomerge.spaces.genes import Gene, Genome, Scalar
from evomerge.spaces.lineage import LineageSpace
from evomerge.spaces.starts import NotInSpace

WHERE = "start_from"
"""The key of a search under which the earlier run stands, for messages."""


def finalists_of(run_dir: Path) -> tuple[dict[str, Scalar], ...]:
    """The genomes that a finished run assessed in its finals, by name of gene; lowest mean loss first.

    Those that broke constraints of the earlier search come last.

    Raises:
        ConfigError: If the folder holds no run, or one that is not finished or does not name its genes.
    """
    with RunLog.read(run_dir) as log:
        names = identity_of(log).get("genes")
        events = list(log.events())
    if not any(isinstance(event, Finished) for event in events):
        raise ConfigError.at(WHERE, f"{run_dir} is not finished. Finish it: `evomerge resume {run_dir}`.")
    if names is None:
        raise ConfigError.at(WHERE, f"{run_dir} does not say which genes it searched; an older evomerge made it.")
    if not names:
        raise ConfigError.at(WHERE, f"{run_dir} bred its recipes, which have no genes. Start from a run that has some.")
    genomes = {event.number: event.genome for event in events if isinstance(event, Asked)}
    told = [event for event in events if isinstance(event, Told)]
    losses = {event.number: (total_violation(event.violations), sum(event.losses)) for event in told}
    assessed = {event.name for event in events if isinstance(event, Assessed) and event.failure is None}
    finalists = [number for number in losses if f"candidate {number}" in assessed]
    return tuple(
        dict(zip(names, genomes[number], strict=True)) for number in sorted(finalists, key=lambda n: (losses[n], n))
    )


def recipe_as_start(path: Path, space: SearchSpace | LineageSpace) -> dict[str, Scalar]:
    """The genome of a recipe, such as a refined one, by name of gene.

    Raises:
        ConfigError: If it is no recipe of the space.
    """
    recipe = load_recipe(path)
    if isinstance(space, LineageSpace):
        raise ConfigError.at(WHERE, "members are bred from their models alone. Leave start_from out.")
    try:
        genome = space.encode(recipe)
    except NotInSpace as reason:
        what = f"{path} does not lie in the space: {reason}. Start from a recipe of this space, or widen it."
        raise ConfigError.at(WHERE, what) from None
    return {gene.name: value for gene, value in zip(space.genes, genome, strict=True)}


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
