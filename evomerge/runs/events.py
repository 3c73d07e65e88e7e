"""Events: everything that happens in a run, each logged before it has an effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from evomerge.execution import Items, Responses
from evomerge.spaces.genes import Genome


@dataclass(frozen=True, slots=True)
class Started:
    """The run begins.

    Attributes:
        identity: What must be the same for the run to go on: digests of models, items and space, and the seed.
    """

    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The optimiser proposed candidate `number`.

    Attributes:
        number: Asks are counted from 0.
        genome: What it proposed.
        digest: Of its recipe.
        generation: Candidates of one generation are asked the same exam.
    """

    number: int
    genome: Genome
    digest: str
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Candidate `number` answered a block of items; where some items are asked, one of several.

    Attributes:
        number: The candidate.
        items: What it was asked.
        responses: Its score on every item.
        merge_s: Wall seconds spent on the weights.
        score_s: Wall seconds spent on the items.
        attempts: How many workers tried.
        twin: An earlier candidate with the same recipe, whose responses these are, all of them; None if it was scored
            itself.
        tokens: Put through the model.
        costs: Of the recipe, those that the fitness asks for.
    """

    number: int
    items: Items
    responses: Responses
    merge_s: float = 0.0
    score_s: float = 0.0
    attempts: int = 1
    twin: int | None = None
    tokens: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """Candidate `number` could not be merged or scored.

    Attributes:
        number: The candidate.
        reason: Why.
        attempts: How many workers tried.
        seconds: Wall seconds that they spent on it; 0 where another with the same recipe failed, and in old logs.
        tokens: Put through the model meanwhile.
    """

    number: int
    reason: str
    attempts: int = 1
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """The optimiser learnt what candidate `number` was worth.

    Attributes:
        number: The candidate.
        losses: One per objective; lower is better.
        errors: Standard error of each as a statement about all search items; empty for one that failed.
        violations: How far each constraint is broken; 0 or less where it holds.
    """

    number: int
    losses: tuple[float, ...]
    errors: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessed:
    """A finalist or a reference was scored on items that the search did not see.

    Attributes:
        name: `candidate 17`, `favourite`, or the reference's name.
        kind: `finalist` or `reference`; or `rival`, a model that candidates are compared with but not made of, where
            it is scored before the search.
        split: `selection` or `test`.
        digest: Of the recipe.
        recipe: Plain data of the recipe.
        items: What it was asked.
        responses: Its score on every item, or the number of its answer where the metric is agreement; empty if it
            failed.
        failure: Why it failed, None if it did not.
        costs: Of the recipe, those that the fitness asks for.
    """

    name: str
    kind: str
    split: str
    digest: str
    recipe: Mapping[str, Any]
    items: Items
    responses: Responses
    failure: str | None = None
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is complete: searched and assessed."""

    reason: str


Event: TypeAlias = Started | Asked | Evaluated | Failed | Told | Assessed | Finished
