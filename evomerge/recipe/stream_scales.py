"""Stream scales: published factors on the residual stream, converted to factors on what layers write.

Where block k reads u_k = s_k x_k instead of x_k, the stream goes on as x_{k+1} = u_k + F_k(N(u_k)) for a norm N. Let
S_k = s_0 … s_k, and y_k = c u_k / S_k for a gauge c > 0. As N does not hear a positive factor, but for its epsilon,

    y_{k+1} = y_k + (c / S_k) F_k(N(y_k)),    y_0 = c x_0:

ordinary blocks, with a factor c / S_k on what block k writes and c on the embeddings. They end with c / S_n times the
scaled stream, which the last norm does not hear either. In the gauge c = S_0 the first block reads and writes exactly
what it did, and that is the most accurate choice: embeddings are small beside epsilon, later streams are not.

Reads must be normalised. The blocks of OLMo 2 read the stream as it is, so these factors are not the same there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from evomerge.errors import EvomergeError


class Folded(NamedTuple):
    """Stream scales in another spelling.

    Attributes:
        writes: Per layer of the route, the factor on what it writes; the first is 1.
        embeddings: The factor on the embeddings: the gauge c, which is 1 where the first block's input is not scaled.
    """

    writes: tuple[float, ...]
    embeddings: float


def fold(scales: Sequence[float]) -> Folded:
    """Factors on writes that stand for factors on the stream that enters each layer.

    Args:
        scales: Per layer of the route, s_k. All are positive.

    Raises:
        EvomergeError: If a scale is not positive. A negative one would turn norms around, and 0 cuts the stream.
    """
    if unfit := [scale for scale in scales if not scale > 0]:
        raise EvomergeError(f"A factor on the residual stream is {unfit[0]:g}; only those above 0 can be converted.")
    products = [*itertools.accumulate(scales, lambda product, scale: product * scale)]
    return Folded(tuple(products[0] / product for product in products), products[0])


def fold_connections(path: Sequence[int], scales: Sequence[Sequence[float]]) -> Folded:
    """Factors on writes from Sakana's matrix W (2403.13187, 3.2), one factor per connection of layers.

    Args:
        path: Numbers of the layers in their order.
        scales: W_ij is the factor on the stream from layer i to layer j, shape (M, M).

    Raises:
        EvomergeError: If a factor on the path is not positive.
    """
    return fold([1.0, *(scales[before][after] for before, after in itertools.pairwise(path))])


def fold_outputs(scales: Sequence[float]) -> Folded:
    """Factors on writes from factors on what leaves each layer, as GPTailor's are (2506.20480): shifted by one layer.

    Args:
        scales: Per layer of the route. The last has no effect, as a norm follows.

    Raises:
        EvomergeError: If a factor but the last is not positive.
    """
    return fold([1.0, *scales[:-1]])
