"""What travels to a worker and what comes back: recipes and responses, never weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evomerge.recipe import Recipe

Items: TypeAlias = Mapping[str, tuple[int, ...]]
"""Per task, the positions of the documents to ask: sorted, each once."""

Responses: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Per task, the score of every item asked, shape (num_items,), in the order of the items."""


@dataclass(frozen=True, slots=True)
class Job:
    """One recipe to score.

    Attributes:
        number: Identity of the job within its executor.
        recipe: What to merge.
        items: What to ask it.
    """

    number: int
    recipe: Recipe
    items: Items


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        number: The job's.
        items: What was asked.
        responses: One score per item; empty if the job failed.
        failure: Why it failed, None if it did not.
        merge_s: Wall seconds spent on the weights.
        score_s: Wall seconds spent on the items; of a job that failed, all that it took.
        attempts: How many workers tried.
        tokens: Put through the model.
        costs: Of the recipe, those that the fitness asks for.
    """

    number: int
    items: Items = field(default_factory=dict)
    responses: Responses = field(default_factory=dict)
    failure: str | None = None
    merge_s: float = 0.0
    score_s: float = 0.0
    attempts: int = 1
    tokens: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)


class Executor(Protocol):
    """Scores jobs somewhere. Never raises for one candidate: its failure is an `Outcome`.

    `wait` raises `EvomergeError` where the machine is at fault.

    Attributes:
        capacity: How many jobs may be in flight at once.
    """

    capacity: int

    def submit(self, job: Job) -> None:
        """Take a job. At most `capacity` may be in flight."""

    def wait(self, timeout_s: float | None = None) -> Sequence[Outcome]:
        """At least one outcome, or none after `timeout_s`. Returns at once when nothing is in flight."""

    def close(self) -> None:
        """Give back what the executor holds. Jobs in flight are lost. May be called twice."""
