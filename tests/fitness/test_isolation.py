import logging
import random
from collections.abc import Iterator

import datasets
import numpy as np
import pytest

from evomerge.fitness.isolation import isolated


@pytest.fixture(params=[True, False])
def bars(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the user wants progress bars; their setting is put back."""
    before = datasets.are_progress_bars_disabled()
    wanted = bool(request.param)
    (datasets.enable_progress_bars if wanted else datasets.disable_progress_bars)()
    yield wanted
    (datasets.disable_progress_bars if before else datasets.enable_progress_bars)()


def test_everything_is_put_back_even_after_an_error(bars: bool) -> None:
    logging.getLogger("lm_eval").setLevel(logging.INFO)
    state, state_numpy = random.getstate(), np.random.get_state()[1].tolist()
    with isolated():
        assert datasets.are_progress_bars_disabled()
        assert not logging.getLogger("lm_eval.api.task").isEnabledFor(logging.WARNING)
        assert random.random() == random.Random(0).random()
        assert np.random.random() == np.random.RandomState(1234).random()
    with pytest.raises(KeyError), isolated():
        raise KeyError
    assert datasets.are_progress_bars_disabled() is not bars
    assert logging.getLogger("lm_eval").level == logging.INFO
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (state, state_numpy)
