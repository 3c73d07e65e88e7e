"""Stream scales as factors on writes and reads: a residual network with the one against one with the other."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvomergeError
from evomerge.recipe.stream_scales import Folded, fold, fold_connections, fold_outputs

Block = Callable[[int, np.ndarray], np.ndarray]
SCALES = st.lists(st.floats(0.5, 2.0) | st.floats(-2.0, -0.5), min_size=1, max_size=6)


def normed(x: np.ndarray) -> np.ndarray:
    """RMSNorm without epsilon."""
    return x / np.sqrt(np.mean(x**2))


def bare(number: int, x: np.ndarray) -> np.ndarray:
    """What block `number` adds to the stream that it reads as it is."""
    weights = np.random.default_rng(number).normal(size=(x.size, x.size))
    return np.asarray(np.tanh(weights @ x + 0.3))


def behind_a_norm(number: int, x: np.ndarray) -> np.ndarray:
    """What block `number` adds to the stream that it reads through a norm."""
    return bare(number, normed(x))


BLOCKS = pytest.mark.parametrize("block", [bare, behind_a_norm])
EMBEDDING = np.random.default_rng(99).normal(size=5)


def folded_output(folded: Folded, path: range | list[int], block: Block) -> np.ndarray:
    """What the last norm makes of ordinary blocks x + write · F(read · x)."""
    y = folded.embeddings * EMBEDDING
    for number, write, read in zip(path, folded.writes, folded.reads, strict=True):
        y = y + write * block(number, read * y)
    return normed(folded.norm * y)


@BLOCKS
@given(scales=SCALES)
def test_scales_before_blocks(block: Block, scales: list[float]) -> None:
    x = EMBEDDING
    for number, scale in enumerate(scales):
        x = scale * x + block(number, scale * x)
    folded = fold(scales)
    assert folded.writes[0] == folded.reads[0] == 1.0
    np.testing.assert_allclose(folded_output(folded, range(len(scales)), block), normed(x), rtol=1e-7, atol=1e-9)


@BLOCKS
@given(scales=SCALES)
def test_scales_behind_blocks(block: Block, scales: list[float]) -> None:
    x = EMBEDDING
    for number, scale in enumerate(scales):
        x = scale * (x + block(number, x))
    found = folded_output(fold_outputs(scales), range(len(scales)), block)
    np.testing.assert_allclose(found, normed(x), rtol=1e-7, atol=1e-9)


@BLOCKS
def test_scales_between_layers(block: Block) -> None:
    """Sakana's W: the first block reads the embeddings as they are, each later one what W makes of the stream."""
    path, w = [0, 2, 2, 1], np.random.default_rng(1).random((3, 3)) - 0.3
    x = EMBEDDING + block(0, EMBEDDING)
    for before, after in itertools.pairwise(path):
        x = w[before, after] * x
        x = x + block(after, x)
    folded = fold_connections(path, w.tolist())
    assert folded.embeddings == 1.0
    np.testing.assert_allclose(folded_output(folded, path, block), normed(x), rtol=1e-9)


@given(SCALES)
def test_a_norm_hears_no_more_of_a_factor_than_its_sign(scales: list[float]) -> None:
    folded = fold(scales)
    signs = folded._replace(reads=tuple(float(np.sign(read)) for read in folded.reads))
    found = [folded_output(each, range(len(scales)), behind_a_norm) for each in (folded, signs)]
    np.testing.assert_allclose(*found, rtol=1e-7, atol=1e-9)


def test_a_cut_cannot_be_folded() -> None:
    with pytest.raises(EvomergeError, match="A factor of 0 on the residual stream cuts it"):
        fold([1.0, 0.0])
