"""A worker: one resident model and one harness, turning jobs into outcomes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from evomerge.errors import CandidateFailed, EvomergeError
from evomerge.execution.job import Job, Outcome
from evomerge.fitness import FitnessSpec
from evomerge.merging import Library, size_of
from evomerge.recipe import Recipe

_MAX_SURPRISES_IN_A_ROW = 5
"""So many candidates that fail in ways no merge should mean that the machine or we are at fault, not the recipes."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """All that a worker needs to be built, on whatever machine.

    Attributes:
        recipe: Any recipe of the search; gives architecture, dtype and tokenizer.
        fitness: What is scored.
        where: Name of the fitness file, for messages.
        device: Torch device.
        num_threads: CPU threads of one worker. Part of a run's identity: the order of sums depends on it.
        is_fused: Whether merges run as compiled loops; their bits are the same.
        room_bytes: Of what a worker remembers of the models from candidate to candidate.
    """

    recipe: Recipe
    fitness: FitnessSpec
    where: str
    device: str = "cpu"
    num_threads: int = 1
    is_fused: bool = False
    room_bytes: int = 2 << 30


class Worker:
    """Scores recipes one after another on one resident model."""

    def __init__(self, plan: WorkerPlan) -> None:
        """Load tasks and model once.

        Raises:
            EvomergeError: If they cannot be loaded; no candidate is to blame then.
        """
        from transformers.utils.logging import disable_progress_bar  # takes seconds, and a plan has no use for it

        from evomerge.fitness import Harness, load_tasks
        from evomerge.merging import ResidentModel

        torch.set_num_threads(plan.num_threads)
        disable_progress_bar()  # of transformers: the run has a display of its own
        self._library = Library(is_fused=plan.is_fused, room_bytes=plan.room_bytes)
        self._resident = ResidentModel(plan.recipe, self._library, plan.device)
        self._wanted_costs, self._beside = plan.fitness.costs, plan.recipe
        tasks = load_tasks(plan.fitness, plan.where)
        self._harness = Harness(tasks, plan.fitness, self._resident.model, self._resident.tokenizer)
        self._surprises = 0

    def run(self, job: Job) -> Outcome:
        """Merge and score one recipe. Whatever goes wrong is the candidate's failure, not the search's.

        Raises:
            EvomergeError: If candidate after candidate fails in ways no merge should, as after a fault of the GPU.
        """
        start, read_before = time.perf_counter(), self._harness.tokens_read
        try:
            self._resident.hold(job.recipe)
            merged = time.perf_counter()
            responses = self._harness.score(job.items)
            costs = self._costs(job.recipe)
        except CandidateFailed as failure:
            self._surprises, reason = 0, str(failure)
        except Exception as error:  # the one place where any exception of a candidate becomes a record
            reason = self._surprised(error)
        else:
            self._surprises = 0
            return Outcome(
                job.number,
                job.items,
                responses,
                merge_s=merged - start,
                score_s=time.perf_counter() - merged,
                tokens=self._harness.tokens_read - read_before,
                costs=costs,
            )
        spent_s, tokens = time.perf_counter() - start, self._harness.tokens_read - read_before
        return Outcome(job.number, failure=reason, score_s=spent_s, tokens=tokens)

    def _surprised(self, error: Exception) -> str:
        """The reason, unless the machine or a bug would make such a record of every candidate to come."""
        reason = f"{type(error).__name__}: {error}"
        self._surprises += 0 if isinstance(error, torch.OutOfMemoryError) else 1  # a long route may well need too much
        if self._surprises >= _MAX_SURPRISES_IN_A_ROW:
            raise EvomergeError(
                f"{self._surprises} candidates in a row failed in ways no merge should, the last with {reason}. "
                "Nothing scored so far is lost; mend the cause, then resume the run."
            ) from error
        return reason

    def _costs(self, recipe: Recipe) -> dict[str, float]:
        if not self._wanted_costs:
            return {}
        size = size_of(recipe, self._library, self._beside)
        shares = {"layers": size.layer_share, "parameters": size.parameter_share}
        return {name: shares[name] for name in self._wanted_costs}
