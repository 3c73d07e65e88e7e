"""One micro zoo for all tests here; a test that changes its folder copies it first."""

from pathlib import Path

import pytest

from evomerge.checkpoints.zoo import MICRO, build_zoo


@pytest.fixture(scope="session")
def micro_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    build_zoo(folder, MICRO, lambda progress: None)
    return folder
