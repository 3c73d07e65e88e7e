"""Stream scales: published factors on the residual stream, converted to factors on what layers write and read.

Where block k reads u_k = s_k x_k instead of x_k, the stream goes on as x_{k+1} = u_k + F_k(u_k). Let
S_k = s_0 … s_k, and y_k = c u_k / S_k for a gauge c. Then

    y_{k+1} = y_k + (c / S_k) F_k((S_k / c) y_k),    y_0 = c x_0:

ordinary blocks, with factors c / S_k on what block k writes and S_k / c on what it reads, and c on the embeddings. They
end with c / S_n times the scaled stream, which the last norm must hear with its sign. Blocks that read through a norm
do not hear a positive factor, but for the norm's epsilon, and a negative one turns their norm around. In the gauge
c = S_0 the first block reads and writes exactly what it did, and that is the most accurate choice: embeddings are small
beside epsilon, later streams are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from evomerge.errors import EvomergeError


class Folded(NamedTuple):
    """Stream scales in another spelling.

    Attributes:
        writes: Per layer of the route, the factor on what it writes; the first is 1.
        reads: Per layer of the route, the factor on what it reads; the first is 1.
        embeddings: The factor on the embeddings: the gauge c, which is 1 where the first block's input is not scaled.
        norm: The factor on what the last norm reads: 1 or -1.
    """

    writes: tuple[float, ...]
    reads: tuple[float, ...]
    embeddings: float
    norm: float


def fold(scales: Sequence[float]) -> Folded:
    """Factors on writes and reads that stand for factors on the stream that enters each layer.

    Args:
        scales: Per layer of the route, s_k. None is 0.

    Raises:
        EvomergeError: If a scale is 0, which would cut the stream.
    """
    if 0 in scales:
        raise EvomergeError("A factor of 0 on the residual stream cuts it, which ordinary layers cannot. Give another.")
    first, *_ = products = [*itertools.accumulate(scales, lambda product, scale: product * scale)]
    reads = tuple(product / first for product in products)
    return Folded(tuple(1.0 / read for read in reads), reads, first, math.copysign(1.0, reads[-1]))


def fold_connections(path: Sequence[int], scales: Sequence[Sequence[float]]) -> Folded:
    """Factors on writes and reads from Sakana's matrix W (2403.13187, 3.2), one factor per connection of layers.

    Args:
        path: Numbers of the layers in their order.
        scales: W_ij is the factor on the stream from layer i to layer j, shape (M, M).

    Raises:
        EvomergeError: If a factor on the path is 0.
    """
    return fold([1.0, *(scales[before][after] for before, after in itertools.pairwise(path))])


def fold_outputs(scales: Sequence[float]) -> Folded:
    """Factors on writes and reads from what scales each layer's output, as GPTailor does (2506.20480): one layer later.

    Args:
        scales: Per layer of the route. Of the last no more than the sign has an effect, as a norm follows.

    Raises:
        EvomergeError: If a factor is 0.
    """
    writes, reads, embeddings, _ = fold([1.0, *scales])
    return Folded(writes[:-1], reads[:-1], embeddings, math.copysign(1.0, reads[-1]))
