"""Gates that look at all experts together, or at the origin beside them."""

from __future__ import annotations

import numpy as np
import torch

from evomerge.merging.norms import root_mean_square
from evomerge.merging.site import Site
from evomerge.merging.stages.gates import keep_number
from evomerge.merging.stages.signatures import Gate, Kind
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import ClipGate, FusionGate, VarianceGate


def variance(gate: VarianceGate, stack: Stack, site: Site) -> Stack:
    """Keep the entries that vary most between experts (SCE, arXiv:2408.07990, section 3.2)."""
    if not stack.deltas[0].numel():
        return stack
    spread = torch.stack(list(stack.deltas)).var(dim=0, unbiased=False)
    num_varying = int(spread.count_nonzero())
    num_kept = max(1, int(gate.density * num_varying)) if num_varying else 0
    mask = keep_number(spread, num_kept, first=True) > 0 if num_kept else torch.zeros_like(spread, dtype=torch.bool)
    return stack.gated(gate, [delta * mask for delta in stack.deltas], [gate.density] * len(stack.deltas))


def clip(gate: ClipGate, stack: Stack, site: Site) -> Stack:
    """Limit every entry (NearSwap: W0 + min(1, t/|τ|) τ)."""
    bounds = [gate.at * (root_mean_square(delta) if gate.unit == "rms" else 1.0) for delta in stack.deltas]
    return stack.changed([delta.clamp(-bound, bound) for delta, bound in zip(stack.deltas, bounds, strict=True)])


def fusion(gate: FusionGate, stack: Stack, site: Site) -> Stack:
    """Keep what is far more important than the rest (Arcee Fusion), with exact quantiles of the whole tensor."""
    kept = []
    for delta in stack.deltas:
        scores = importance(delta, site.origin)
        first, median, third = _quartiles(scores)
        kept.append(delta * (scores >= median + gate.reach * (third - first)))
    return stack.changed(kept)


def importance(delta: torch.Tensor, origin: torch.Tensor | None) -> torch.Tensor:
    """|τ| times the divergence between the softmaxes of each row before and after, float64, of the tensor's shape.

    In float32 the divergence of close rows is lost in rounding.
    """
    before = torch.zeros_like(delta, dtype=torch.float64) if origin is None else origin.double()
    ours, theirs = ((tensor.softmax(dim=-1) + 1e-8) for tensor in (before + delta.double(), before))
    divergence = (ours * (ours / theirs).log()).sum(dim=-1, keepdim=True) if delta.ndim else 0.0
    return delta.abs().double() * divergence


def _quartiles(scores: torch.Tensor) -> tuple[float, float, float]:
    """The scores at the places `int(q · (numel − 1))` of the ascending order."""
    if not scores.numel():
        return 0.0, 0.0, 0.0
    first, second, third = (int(part * (scores.numel() - 1)) for part in (0.25, 0.5, 0.75))
    order = np.partition(scores.flatten().cpu().numpy(), (first, second, third))
    return float(order[first]), float(order[second]), float(order[third])


GATES: dict[Kind, Gate] = {VarianceGate: variance, ClipGate: clip, FusionGate: fusion}
