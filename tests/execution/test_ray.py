import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import ray

from evomerge.errors import EvomergeError
from evomerge.execution import Executor, Job
from evomerge.execution.ray import RayExecutor
from evomerge.recipe import ModelRef
from evomerge.study import Study
from evomerge.testing.executors import ExecutorContract, finish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for all tests of this file: starting one takes ten seconds and more."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def executor(study: Study) -> Iterator[RayExecutor]:
    executor = RayExecutor(study.worker_plan(), num_workers=1)
    yield executor
    executor.close()


class TestRayExecutor(ExecutorContract):
    pass


class TestWorkersThatDie:
    def test_a_job_is_tried_once_more(self, executor: RayExecutor, job: Callable[[int, float], Job]) -> None:
        executor.submit(job(0, 0.5))
        finish(executor, 1)  # the worker is built
        executor.submit(job(1, 0.7))
        _kill_workers()
        (outcome,) = finish(executor, 1)
        assert outcome.failure is None
        assert outcome.attempts == 2

    def test_a_recipe_that_kills_two_workers_is_a_failure(
        self, executor: RayExecutor, job: Callable[[int, float], Job]
    ) -> None:
        executor.submit(job(0, 0.5))
        outcomes = _wait_while_killing(executor)
        assert [(outcome.failure, outcome.attempts) for outcome in outcomes] == [("worker died", 2)]
        assert outcomes[0].score_s > 0

    def test_workers_that_keep_dying_end_the_search(
        self, executor: RayExecutor, job: Callable[[int, float], Job]
    ) -> None:
        executor.submit(job(0, 0.5))
        _wait_while_killing(executor)
        executor.submit(job(1, 0.7))
        with pytest.raises(EvomergeError, match=r"workers died 4 times in a row.*resume the run"):
            _wait_while_killing(executor)

    def test_a_job_without_an_end_is_ended(self, study: Study, job: Callable[[int, float], Job]) -> None:
        executor = RayExecutor(study.worker_plan(), num_workers=1, timeout_s=0.01)
        try:
            executor.submit(job(0, 0.5))
            (outcome,) = finish(executor, 1)
            assert outcome.failure == "no outcome within 0.01 s"
        finally:
            executor.close()


def test_a_worker_that_cannot_be_built_is_not_the_candidates_fault(
    study: Study, job: Callable[[int, float], Job]
) -> None:
    plan = study.worker_plan()
    models = {name: ModelRef(path="nowhere") for name in plan.recipe.models}
    lost = plan.recipe.model_copy(update={"models": models})
    executor: Executor = RayExecutor(type(plan)(lost, plan.fitness, plan.where), num_workers=1)
    try:
        executor.submit(job(0, 0.5))
        with pytest.raises(EvomergeError, match=r"a worker cannot go on: .*nowhere"):
            executor.wait()
    finally:
        executor.close()


def _wait_while_killing(executor: RayExecutor) -> list[object]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        _kill_workers()
        if outcomes := executor.wait(timeout_s=0.02):  # a worker is built in a fraction of a second
            return list(outcomes)
    raise AssertionError("no outcome within two minutes")


def _kill_workers() -> None:
    """SIGKILL to our actors, as the kernel does when memory runs out; those of other clusters are not ours."""
    for actor in ray._private.state.actors().values():
        if actor["State"] == "ALIVE":
            with contextlib.suppress(ProcessLookupError):
                os.kill(actor["Pid"], signal.SIGKILL)
