"""Gates that change what entries say rather than which of them speak."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from evomerge.merging.order import Pieces, largest_over
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Gate, Kind
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import ClampGate, SignGate


def clamp(gate: ClampGate, stack: Stack, site: Site) -> Stack:
    """Bring extreme magnitudes in (PCB-Merging, arXiv:2410.02396, code)."""
    return stack.changed([_clamped(gate, delta, site, index) for index, delta in enumerate(stack.deltas)])


def _clamped(gate: ClampGate, delta: torch.Tensor, site: Site, expert: int) -> torch.Tensor:
    def task_vectors() -> Iterator[torch.Tensor]:
        return (deltas[expert] for _, deltas in site.scope.deltas())

    if not delta.numel():
        return delta
    if gate.scope == "model":
        low, high = site.scope.once((gate, expert), lambda: bounds(gate, task_vectors))
    else:
        low, high = bounds(gate, lambda: [delta])
    return delta.sign() * delta.abs().clamp(low, high)


def bounds(gate: ClampGate, pieces: Pieces) -> tuple[float, float]:
    """The magnitudes at the places `int(low · numel)` and `int((1 − high) · numel − 1)` of the ascending order."""
    total = sum(piece.numel() for piece in pieces())
    places = int(total * gate.low), int(total * (1 - gate.high) - 1)
    low, high = (largest_over(pieces, total - place, total) for place in places)
    return low, high


def sign(gate: SignGate, stack: Stack, site: Site) -> Stack:
    """Signs alone (ComPEFT, arXiv:2311.13171, algorithm 1)."""
    return stack.changed([delta.sign() for delta in stack.deltas])


GATES: dict[Kind, Gate] = {ClampGate: clamp, SignGate: sign}
