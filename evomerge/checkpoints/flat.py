"""The flattened model: the order in which its tensors make up one vector."""

from __future__ import annotations

import torch

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.recipe.spans import TensorSpan


def stretches_of(checkpoint: Checkpoint) -> tuple[TensorSpan, ...]:
    """Where each tensor of numbers stands in the flattened parameters. Reads no tensor.

    Embeddings come first, then the layers from the first to the last, then what else lies in none, then the head;
    tensors that share a place stand by name. The order of the files, which is anyone's, does not matter. Tensors that
    repeat another one, and whole numbers, have no place.
    """
    stretches, start = list[TensorSpan](), 0
    for name in sorted(checkpoint.names, key=lambda name: _place(checkpoint, name)):
        if checkpoint.dtype(name).is_floating_point:
            at, stop = checkpoint.position(name), start + int(torch.Size(checkpoint.shape(name)).numel())
            stretches.append(TensorSpan(name, at.layer, at.role, start, stop))
            start = stop
    return tuple(stretches)


def _place(checkpoint: Checkpoint, name: str) -> tuple[int, int, str]:
    at = checkpoint.position(name)
    if at.layer is not None:
        return 1, at.layer, name
    return {"embedding": 0, "head": 3}.get(at.role, 2), 0, name
