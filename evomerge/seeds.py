"""One seed for a run, and independent named children of it for every part that draws at random."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np


def child(seed: int, *names: str) -> np.random.SeedSequence:
    """Seed sequence of one part of a run, independent of every other part's.

    Named rather than counted, so that a new consumer does not shift the stream of an old one.

    Args:
        seed: The run's seed.
        *names: Path of the part, such as `"optimizer"` or `"items", "math"`.

    Returns:
        A seed sequence that depends on `seed` and `names` only.
    """
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.SeedSequence(entropy=seed, spawn_key=tuple(digest[:16]))


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator over `child(seed, *names)`."""
    return np.random.default_rng(child(seed, *names))


def integer(seed: int, *names: str) -> int:
    """A 31-bit integer from `child(seed, *names)`, for libraries that only take one."""
    return int(child(seed, *names).generate_state(1, np.uint32)[0]) >> 1


@contextlib.contextmanager
def lent_generators() -> Iterator[None]:
    """Lend the process's random generators to a library that draws from them; afterwards they are as they were."""
    before, before_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)
