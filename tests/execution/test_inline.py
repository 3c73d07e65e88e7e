import dataclasses
from collections.abc import Callable, Iterator

import pytest

from evomerge.errors import EvomergeError
from evomerge.execution import Executor, Job
from evomerge.study import Study
from evomerge.testing.executors import ExecutorContract, run_all


@pytest.fixture
def executor(study: Study) -> Iterator[Executor]:
    executor = study.executor()
    yield executor
    executor.close()


class TestInlineExecutor(ExecutorContract):
    pass


class TestAMachineAtFault:
    """Asking for documents that do not exist stands for it: no merge can make such a request fail."""

    def test_ends_the_search(self, executor: Executor, job: Callable[[int, float], Job]) -> None:
        for number in range(4):
            (outcome,) = run_all(executor, [_impossible(job(number, 0.5))])
            assert outcome.failure
            assert "IndexError" in outcome.failure
        with pytest.raises(EvomergeError, match=r"5 candidates in a row failed .* IndexError.*resume the run"):
            run_all(executor, [_impossible(job(4, 0.5))])

    def test_is_not_told_from_failures_of_merges(
        self, executor: Executor, job: Callable[[int, float], Job], broken_job: Callable[[int], Job]
    ) -> None:
        jobs = [broken_job(n) if n % 3 == 0 else _impossible(job(n, 0.5)) for n in range(12)]
        assert all(outcome.failure for outcome in run_all(executor, jobs))


def _impossible(job: Job) -> Job:
    return dataclasses.replace(job, items=dict.fromkeys(job.items, (10**6,)))
