"""What lm-eval and the code of its tasks touch of the process around them, put back afterwards."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterator

import datasets
import numpy as np
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

from evomerge import seeds

_LOGGERS = ("lm_eval", "datasets", "transformers")


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Run lm-eval without a word on the terminal, and with the process's random generators as its command sets them.

    Some tasks of the harness shuffle their choices with Python's global generator. The command seeds it, so such a task
    reads the same here and there; whatever was drawn from it, the caller finds the generators as they were.
    """
    with _silent(), seeds.lent_generators():
        random.setstate(random.Random(DEFAULT_RANDOM_SEED).getstate())
        np.random.set_state(np.random.RandomState(DEFAULT_OTHER_SEED).get_state())
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    bars = not datasets.are_progress_bars_disabled()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            datasets.enable_progress_bars()
