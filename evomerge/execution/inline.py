"""The inline executor: jobs run in this process, one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from evomerge.execution.job import Job, Outcome
from evomerge.execution.worker import Worker, WorkerPlan


class InlineExecutor:
    """No daemon and no waiting to start; the default."""

    capacity = 1

    def __init__(self, plan: WorkerPlan) -> None:
        """Build the worker.

        Raises:
            EvomergeError: If it cannot be built.
        """
        self._worker = Worker(plan)
        self._queue: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Keep the job until `wait`."""
        self._queue.append(job)

    def wait(self, timeout_s: float | None = None) -> Sequence[Outcome]:
        """Run the next job to its end; `timeout_s` cannot interrupt it.

        Raises:
            EvomergeError: If candidate after candidate fails in ways no merge should.
        """
        return [self._worker.run(self._queue.popleft())] if self._queue else []

    def close(self) -> None:
        """Forget jobs that were not run."""
        self._queue.clear()
