"""The executor without models obeys the contract of those that have some."""

from collections.abc import Callable

import numpy as np
import pytest

from evomerge.execution import Executor, Job
from evomerge.testing.executors import ExecutorContract, SimulatedExecutor


@pytest.fixture
def executor(broken_job: Callable[[int], Job]) -> Executor:
    return SimulatedExecutor(2, lambda job: job.recipe == broken_job(0).recipe)


class TestSimulatedExecutor(ExecutorContract):
    pass


def test_able_recipes_answer_more_of_the_items_and_blocks_do_not_matter(job: Callable[[int, float], Job]) -> None:
    executor, asked = SimulatedExecutor(), {"math": tuple(range(400))}
    recipes = [job(0, weight).recipe for weight in (0.1, 0.2, 0.3, 0.4, 0.5)]
    answers = [executor.responses(recipe, asked)["math"] for recipe in recipes]
    assert np.ptp([scores.mean() for scores in answers]) > 0.2
    part = executor.responses(recipes[0], {"math": (7, 3)})["math"]
    assert part.tolist() == answers[0][[7, 3]].tolist()
