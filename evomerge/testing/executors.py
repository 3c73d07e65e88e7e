"""The contract of executors, and an executor without models to try searches with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from evomerge.execution import Executor, Items, Job, Outcome, Responses
from evomerge.recipe import Recipe

MakeJob = Callable[[int, float], Job]

Answer: TypeAlias = Callable[[str, str, int], float]
"""The score of a recipe, by its digest, on an item of a task."""


def by_ability(digest: str, task: str, item: int) -> float:
    """1 where a recipe's ability at a task is above an item's difficulty, some of which is the recipe's own, else 0."""
    return float(_draw(digest, task) > 0.6 * _draw(task, str(item)) + 0.4 * _draw(digest, str(item)))


class SimulatedExecutor:
    """Scores that follow from recipes' digests, as fast as a search can ask. See `Executor`.

    Of the jobs in flight the last comes back first, the worst order for a careless search.

    Attributes:
        capacity: See `Executor`.
        jobs: All that were submitted.
    """

    def __init__(
        self, capacity: int = 1, fails: Callable[[Job], bool] = lambda job: False, answer: Answer = by_ability
    ) -> None:
        """Nothing in flight.

        Args:
            capacity: How many jobs may be in flight at once.
            fails: Which jobs fail.
            answer: What items are scored by.
        """
        self.capacity = capacity
        self.jobs: list[Job] = []
        self._flying: list[Job] = []
        self._fails, self._answer = fails, answer

    def submit(self, job: Job) -> None:
        """See `Executor.submit`."""
        assert len(self._flying) < self.capacity, "more jobs than the executor takes"
        self.jobs.append(job)
        self._flying.append(job)

    def wait(self, timeout_s: float | None = None) -> Sequence[Outcome]:
        """See `Executor.wait`. A job takes 1.5 s and 7 tokens, by its own account."""
        if not self._flying:
            return []
        job = self._flying.pop()
        if self._fails(job):
            return [Outcome(job.number, failure="it fell over", score_s=1.5, tokens=7)]
        responses = self.responses(job.recipe, job.items)
        return [Outcome(job.number, job.items, responses, merge_s=1.0, score_s=0.5, tokens=7)]

    def close(self) -> None:
        """See `Executor.close`."""
        self._flying.clear()

    def responses(self, recipe: Recipe, items: Items) -> Responses:
        """What a recipe answers."""
        return {
            task: np.array([self._answer(recipe.digest, task, item) for item in positions], np.float32)
            for task, positions in items.items()
        }


def _draw(*words: str) -> float:
    return int(hashlib.sha256(" ".join(words).encode()).hexdigest()[:8], 16) / 16**8


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
        assert failed.merge_s + failed.score_s > 0, "a failure takes time, too"
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
