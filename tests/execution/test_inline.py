from collections.abc import Iterator

import pytest

from evomerge.execution import Executor
from evomerge.study import Study
from evomerge.testing.executors import ExecutorContract


class TestInlineExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, study: Study) -> Iterator[Executor]:
        executor = study.executor()
        yield executor
        executor.close()
