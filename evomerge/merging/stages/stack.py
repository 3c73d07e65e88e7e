"""The stack: one tensor of every expert on its way through a pipe."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.recipe.stages import StageValue

Share = float | torch.Tensor
"""The probability with which entries were kept: of all, or a tensor with that of each."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Task vectors of all experts at one tensor. Tensors in it are never modified.

    Attributes:
        deltas: As they are now, one float32 tensor per expert, of one shape.
        raw: As they were before the gates.
        kept: Per kind of gate that has acted and per expert, with which probability entries were kept.
        nuclear_norms: Per expert, that of `deltas`, where the last gate knows them.
    """

    deltas: Sequence[torch.Tensor]
    raw: Sequence[torch.Tensor]
    kept: Mapping[type[StageValue], Sequence[Share]]
    nuclear_norms: Sequence[float] = ()

    @classmethod
    def of(cls, deltas: Sequence[torch.Tensor]) -> Stack:
        """A stack that no gate has seen."""
        return cls(deltas, deltas, {})

    def gated(self, gate: StageValue, deltas: Sequence[torch.Tensor], kept: Sequence[Share]) -> Stack:
        """The stack after a gate. Where masks of a kind are nested, the stricter of two decides."""
        join = _least if getattr(gate, "joins", False) else operator.mul
        if type(gate) in self.kept:
            kept = [join(one, other) for one, other in zip(self.kept[type(gate)], kept, strict=True)]
        return Stack(deltas, self.raw, {**self.kept, type(gate): kept})

    def changed(self, deltas: Sequence[torch.Tensor]) -> Stack:
        """The stack after a gate that changes entries without dropping any by chance or by rank."""
        return Stack(deltas, self.raw, self.kept)


def _least(one: Share, other: Share) -> Share:
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        return torch.minimum(torch.as_tensor(one), torch.as_tensor(other))
    return min(one, other)
