"""The contract of executors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evomerge.execution import Executor, Job, Outcome

MakeJob = Callable[[int, float], Job]


class ExecutorContract:
    """Inherit it and give the fixtures `executor`, `job(number, weight)` and `broken_job(number)`.

    Jobs of equal weight must be of equal recipes; a broken job is one whose candidate cannot be scored.
    """

    def test_a_job_comes_back_under_its_number(self, executor: Executor, job: MakeJob) -> None:
        """Numbers are the caller's."""
        executor.submit(job(17, 0.5))
        assert [outcome.number for outcome in finish(executor, 1)] == [17]

    def test_every_item_gets_one_score(self, executor: Executor, job: MakeJob) -> None:
        """Responses are aligned with the items asked."""
        asked = job(0, 0.5)
        executor.submit(asked)
        (outcome,) = finish(executor, 1)
        assert outcome.failure is None
        assert outcome.merge_s > 0
        assert outcome.score_s > 0
        assert {task: len(positions) for task, positions in asked.items.items()} == {
            task: len(scores) for task, scores in outcome.responses.items()
        }

    def test_outcomes_say_what_they_cost(self, executor: Executor, job: MakeJob) -> None:
        """Tokens are counted per job, not since the worker began."""
        _, one, other = run_all(executor, [job(0, 0.3), job(1, 0.5), job(2, 0.7)])  # the first may cost a check more
        assert one.tokens == other.tokens > 0
        assert one.items == job(0, 0.5).items

    def test_outcomes_do_not_depend_on_what_ran_before(self, executor: Executor, job: MakeJob) -> None:
        """A worker keeps nothing of the last candidate."""
        first, *_, again = run_all(executor, [job(0, 0.5), job(1, 20.0), job(2, 0.5)])
        for task in first.responses:
            np.testing.assert_array_equal(first.responses[task], again.responses[task])

    def test_a_failure_is_an_outcome(self, executor: Executor, job: MakeJob, broken_job: Callable[[int], Job]) -> None:
        """And the next job is not harmed."""
        failed, sound = run_all(executor, [broken_job(0), job(1, 0.5)])
        assert failed.failure
        assert not failed.responses
        assert sound.failure is None

    def test_waiting_for_nothing_returns_at_once(self, executor: Executor) -> None:
        """There is nothing to wait for."""
        assert list(executor.wait()) == []

    def test_close_may_be_called_twice(self, executor: Executor) -> None:
        """So that a caller need not remember."""
        executor.close()
        executor.close()


def finish(executor: Executor, num_jobs: int) -> list[Outcome]:
    """Outcomes of all jobs in flight, by number."""
    outcomes: list[Outcome] = []
    while len(outcomes) < num_jobs:
        outcomes += executor.wait(timeout_s=300)
    return sorted(outcomes, key=lambda outcome: outcome.number)


def run_all(executor: Executor, jobs: list[Job]) -> list[Outcome]:
    """Outcomes of jobs, never more in flight than the executor takes."""
    waiting, flying = list(jobs), 0
    outcomes: list[Outcome] = []
    while waiting or flying:
        while waiting and flying < executor.capacity:
            executor.submit(waiting.pop(0))
            flying += 1
        arrived = executor.wait(timeout_s=300)
        flying -= len(arrived)
        outcomes += arrived
    return sorted(outcomes, key=lambda outcome: outcome.number)
