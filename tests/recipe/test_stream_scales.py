"""Stream scales as factors on writes: a residual network with the one against one with the other."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvomergeError
from evomerge.recipe.stream_scales import fold, fold_connections, fold_outputs

SCALES = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=6)


def normed(x: np.ndarray) -> np.ndarray:
    """RMSNorm without epsilon."""
    return x / np.sqrt(np.mean(x**2))


def block(number: int, x: np.ndarray) -> np.ndarray:
    """What block `number` adds to the stream."""
    weights = np.random.default_rng(number).normal(size=(x.size, x.size))
    return np.asarray(np.tanh(weights @ normed(x)))


EMBEDDING = np.random.default_rng(99).normal(size=5)


@given(SCALES)
def test_scales_before_blocks(scales: list[float]) -> None:
    x = EMBEDDING
    for number, scale in enumerate(scales):
        x = scale * x + block(number, scale * x)
    writes, embeddings = fold(scales)
    y = embeddings * EMBEDDING
    for number, write in enumerate(writes):
        y = y + write * block(number, y)
    assert writes[0] == 1.0
    np.testing.assert_allclose(normed(y), normed(x), rtol=1e-9, atol=1e-12)


@given(SCALES)
def test_scales_behind_blocks(scales: list[float]) -> None:
    x = EMBEDDING
    for number, scale in enumerate(scales):
        x = scale * (x + block(number, x))
    writes, embeddings = fold_outputs(scales)
    y = embeddings * EMBEDDING
    for number, write in enumerate(writes):
        y = y + write * block(number, y)
    np.testing.assert_allclose(normed(y), normed(x), rtol=1e-9, atol=1e-12)


def test_scales_between_layers() -> None:
    """Sakana's W: the first block reads the embeddings as they are, each later one what W makes of the stream."""
    path, w = [0, 2, 2, 1], 0.5 + np.random.default_rng(1).random((3, 3))
    x = EMBEDDING + block(0, EMBEDDING)
    for before, after in itertools.pairwise(path):
        x = w[before, after] * x
        x = x + block(after, x)
    writes, embeddings = fold_connections(path, w.tolist())
    y = embeddings * EMBEDDING
    for number, write in zip(path, writes, strict=True):
        y = y + write * block(number, y)
    assert embeddings == 1.0
    np.testing.assert_allclose(normed(y), normed(x), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_signs_and_cuts_cannot_be_folded(scale: float) -> None:
    with pytest.raises(EvomergeError, match="only those above 0"):
        fold([1.0, scale])
