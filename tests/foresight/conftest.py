"""Studies over the micro zoo."""

from collections.abc import Callable
from typing import Any

import pytest

from evomerge.settings import Settings
from evomerge.study import Study, assemble


@pytest.fixture
def make_study(make_settings: Callable[..., Settings]) -> Callable[..., Study]:
    def make(**more: Any) -> Study:
        return assemble(make_settings(**more))

    return make
