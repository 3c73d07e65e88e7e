"""Stages of a search: which genes each of them moves, and how many candidates it may use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from evomerge.optimizers.configs import StageConfig
from evomerge.spaces.genes import ChoiceGene, Gene

FEW = 12
"""Genes that a message names one by one."""

Fault = tuple[str, str]
"""A key of a stage's settings, and what is wrong with it."""


def places_of(patterns: Sequence[str], genes: Sequence[Gene]) -> tuple[int, ...]:
    """Which of the genes have a name that one of the patterns matches, in their order."""
    return tuple(
        place for place, gene in enumerate(genes) if any(fnmatchcase(gene.name, pattern) for pattern in patterns)
    )


def ends_of(stages: Sequence[StageConfig], budget: int) -> list[int]:
    """How many candidates have been asked when each stage ends, as far as shares tell; the last one's is the budget."""
    given = [stage.share for stage in stages if stage.share is not None]
    left = (1 - sum(given)) / max(len(stages) - len(given), 1)
    shares = [left if stage.share is None else stage.share for stage in stages]
    return [*(round(budget * share) for share in list(itertools.accumulate(shares))[:-1]), budget]


def misfits(stages: Sequence[StageConfig], genes: Sequence[Gene], budget: int) -> Iterator[Fault]:
    """Why stages cannot divide these genes and candidates among them."""
    asked = 0
    for number, (stage, end) in enumerate(zip(stages, ends_of(stages, budget), strict=True)):
        here = f"stages[{number}]"
        for index, pattern in enumerate(stage.genes):
            if not places_of([pattern], genes):
                yield f"{here}.genes[{index}]", f'"{pattern}" matches no gene. The genes are {_listed(genes)}.'
        moved = [genes[place] for place in places_of(stage.genes, genes)]
        if stage.l1 and moved and all(isinstance(gene, ChoiceGene) for gene in moved):
            yield f"{here}.l1", "its genes are choices, which have no absolute value. Drop it."
        if end <= asked:
            what = f"of {budget} candidates none is left for this stage. Ask for more, or raise its share."
            yield f"{here}.share", what
        asked = max(asked, end)


def _listed(genes: Sequence[Gene]) -> str:
    """All names if they are few, else one for each beginning of names."""
    if len(genes) <= FEW:
        return ", ".join(gene.name for gene in genes)
    heads = itertools.groupby(sorted(gene.name for gene in genes), lambda name: name.partition("/")[0])
    alike = [(head, list(names)) for head, names in heads]
    return ", ".join(
        names[0] if len(names) == 1 else f"{len(names)} {head}/* such as {names[0]}" for head, names in alike
    )
