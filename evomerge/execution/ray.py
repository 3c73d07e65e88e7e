"""The Ray executor: one actor per GPU or group of CPU cores, on this machine or a cluster."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from evomerge.errors import EvomergeError
from evomerge.execution.job import Job, Outcome
from evomerge.execution.worker import Worker, WorkerPlan

_MAX_ATTEMPTS = 2
"""A recipe that has killed so many workers is recorded as failed and not tried again."""

_MAX_DEATHS_IN_A_ROW = 4
"""So many deaths without one outcome between them mean that the machine is at fault, not the recipes."""


class _Actor:
    """Builds its worker at the first job, so that a failure to do so reaches whoever waits for that job."""

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._worker: Worker | None = None

    def run(self, job: Job) -> Outcome:
        self._worker = self._worker or Worker(self._plan)
        return self._worker.run(job)


@dataclass(slots=True)
class _Flight:
    job: Job
    slot: int
    attempts: int
    started_s: float
    lost_s: float  # by the attempts before


class RayExecutor:
    """Each worker has one job in flight; retries and deadlines are counted here, where they can be logged."""

    def __init__(
        self,
        plan: WorkerPlan,
        num_workers: int,
        num_gpus: float = 0.0,
        address: str | None = None,
        timeout_s: float = 3600.0,
    ) -> None:
        """Start or join a cluster and create the actors.

        Args:
            plan: What workers are built from.
            num_workers: How many actors.
            num_gpus: GPUs of one actor.
            address: Of a running cluster (`auto` finds it); None starts one on this machine.
            timeout_s: A job that runs longer is ended with its worker and recorded as failed.
        """
        self.capacity = num_workers
        self._plan = plan
        self._timeout_s = timeout_s
        self._owns_cluster = not ray.is_initialized()
        if self._owns_cluster:
            _start(address, num_workers * plan.num_threads, plan.num_threads)
        self._actor_class = ray.remote(_Actor).options(
            num_cpus=plan.num_threads, num_gpus=num_gpus, max_restarts=0, max_task_retries=0
        )
        self._actors: list[Any] = [self._actor_class.remote(plan) for _ in range(num_workers)]
        self._flights: dict[Any, _Flight] = {}
        self._held: list[str | None] = [None] * num_workers
        self._deaths_in_a_row = 0

    def submit(self, job: Job) -> None:
        """Hand the job to a free actor, to the one that holds its recipe already if it is free."""
        busy = {flight.slot for flight in self._flights.values()}
        free = [slot for slot in range(self.capacity) if slot not in busy]
        holder = next((slot for slot in free if self._held[slot] == job.recipe.digest), free[0])
        self._launch(job, holder)

    def wait(self, timeout_s: float | None = None) -> Sequence[Outcome]:
        """Outcomes of the jobs that have ended; jobs of workers that died are tried once more.

        Raises:
            EvomergeError: If workers cannot be built, or keep dying or failing whatever the recipe.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while self._flights and (deadline_s is None or time.monotonic() < deadline_s):
            ready, _ = ray.wait(list(self._flights), timeout=0.2 if deadline_s is None else min(0.2, timeout_s or 0.0))
            outcomes = [outcome for future in ready if (outcome := self._collect(future)) is not None]
            outcomes += self._overdue()
            if outcomes:
                return outcomes
        return []

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors.clear()
        self._flights.clear()
        if self._owns_cluster and ray.is_initialized():
            ray.shutdown()

    def _launch(self, job: Job, slot: int, attempts: int = 1, lost_s: float = 0.0) -> None:
        future = self._actors[slot].run.remote(job)
        self._held[slot] = job.recipe.digest
        self._flights[future] = _Flight(job, slot, attempts, time.monotonic(), lost_s)

    def _collect(self, future: Any) -> Outcome | None:
        flight = self._flights.pop(future)
        try:
            outcome: Outcome = ray.get(future)
        except RayActorError:
            return self._bury(flight)
        except RayTaskError as error:
            raise EvomergeError(f"a worker cannot go on: {error.cause or error}") from error
        self._deaths_in_a_row = 0
        return dataclasses.replace(outcome, attempts=flight.attempts)

    def _bury(self, flight: _Flight) -> Outcome | None:
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= _MAX_DEATHS_IN_A_ROW:
            raise EvomergeError(
                f"workers died {self._deaths_in_a_row} times in a row. The machine is the likely cause, memory above "
                "all: give each worker more, or start fewer. Nothing scored so far is lost; resume the run afterwards."
            )
        self._renew(flight.slot)
        if flight.attempts >= _MAX_ATTEMPTS:
            return _failed(flight, "worker died")
        self._launch(flight.job, flight.slot, flight.attempts + 1, _spent_s(flight))
        return None

    def _overdue(self) -> list[Outcome]:
        now_s = time.monotonic()
        late = [future for future, flight in self._flights.items() if now_s - flight.started_s > self._timeout_s]
        return [self._end(future) for future in late]

    def _end(self, future: Any) -> Outcome:
        flight = self._flights.pop(future)
        self._renew(flight.slot)  # a hung task of an actor cannot be cancelled: only its process's death ends it
        return _failed(flight, f"no outcome within {self._timeout_s:g} s")

    def _renew(self, slot: int) -> None:
        """A new actor in place of a dead or hung one. Ray's own restarts refuse the calls made meanwhile."""
        ray.kill(self._actors[slot])
        self._actors[slot] = self._actor_class.remote(self._plan)
        self._held[slot] = None


def _spent_s(flight: _Flight) -> float:
    """Wall seconds of all workers that tried."""
    return flight.lost_s + time.monotonic() - flight.started_s


def _failed(flight: _Flight, reason: str) -> Outcome:
    return Outcome(flight.job.number, failure=reason, score_s=_spent_s(flight), attempts=flight.attempts)


def _start(address: str | None, num_cpus: int, num_threads: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(("HF_", "TRANSFORMERS_"))}
    passed_on |= {"OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false"}
    local: dict[str, Any] = {} if address else {"num_cpus": num_cpus, "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": passed_on}, **local)
