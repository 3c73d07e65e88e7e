"""Likeness: how near a model's parts are to a reference's, before and after alignment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import get_args

import torch

from evomerge.merging.alignment.alignment import Alignment
from evomerge.merging.alignment.blocks import Blocks, Part


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines between a part of all layers of a model and the reference's.

    Attributes:
        before: As the model is.
        after: In its new coordinates.
    """

    before: float
    after: float


def likeness(reference: Blocks, model: Blocks, alignment: Alignment) -> dict[Part, Likeness]:
    """The likeness of every part. Rotations and permutations keep norms, so that both cosines share them."""
    sums: defaultdict[Part, torch.Tensor] = defaultdict(lambda: torch.zeros(4, dtype=torch.float64))
    for number, layer in enumerate(alignment.layers):
        wanted = reference.read(number)
        for part, rows in model.read(number).items():
            aligned = layer.apply(part, rows)
            pairs = [(wanted[part], rows), (wanted[part], aligned), (wanted[part], wanted[part]), (rows, rows)]
            sums[part] += torch.stack([(one * other).sum(dtype=torch.float64) for one, other in pairs])
    return {part: _cosines(*sums[part].tolist()) for part in get_args(Part)}


def _cosines(before: float, after: float, wanted: float, held: float) -> Likeness:
    norms = (wanted * held) ** 0.5 or 1.0  # a part of zeros is like nothing
    return Likeness(before / norms, after / norms)
