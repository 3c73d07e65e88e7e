"""Stages that act on singular values and vectors: a lens, gates, a restoration and posts for matrices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch.nn.functional import hardshrink

from evomerge.merging.site import Site
from evomerge.merging.spectra import Spectrum, count_of, decompose, spectrum
from evomerge.merging.stages.signatures import Deltas, Gate, Kind, Lens, Post, Restoration
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import CANCELLED
from evomerge.recipe.stages.spectral import (
    Calibrate,
    Flatten,
    JointSvd,
    LowRankGate,
    NormMatch,
    NuclearRestore,
    OutlierGate,
    SpectralTopGate,
)


def joint_svd(lens: JointSvd, deltas: Deltas, site: Site) -> tuple[Deltas, Callable[[torch.Tensor], torch.Tensor]]:
    """Coordinates along the left singular vectors of all experts side by side (KnOTS, arXiv:2410.19735).

    What is zero but for rounding is made zero, so that it has no sign in a vote.
    """
    parts = decompose(torch.cat(list(deltas), dim=1))
    inside = [hardshrink(parts.left_OR.T @ delta, parts.noise) for delta in deltas]
    return inside, lambda merged: parts.left_OR @ merged


def spectral_top(gate: SpectralTopGate, stack: Stack, site: Site) -> Stack:
    """Keep the fewest directions that hold a share of the nuclear norm (STAR, arXiv:2502.10339)."""

    def rank(values_R: torch.Tensor, expert: int) -> int:
        sums_R = values_R.double().cumsum(0)
        return 1 + int((sums_R < gate.density_of(expert) * sums_R[-1:]).count_nonzero())

    return _truncated(gate, stack, site, rank)


def low_rank(gate: LowRankGate, stack: Stack, site: Site) -> Stack:
    """Keep a share of the directions."""
    size = min(stack.deltas[0].shape)
    return _truncated(gate, stack, site, lambda _, expert: max(1, count_of(gate.density_of(expert), size)))


def _truncated(
    gate: SpectralTopGate | LowRankGate, stack: Stack, site: Site, rank: Callable[[torch.Tensor, int], int]
) -> Stack:
    kept, norms = [], list[float]()
    for index, delta in enumerate(stack.deltas):
        whole = spectrum(delta, site)
        part = whole.leading(rank(whole.values_R, index)) if gate.density_of(index) < 1 else whole
        # what is zero but for rounding is made zero, so that it has no sign in a vote
        kept.append(delta if part is whole else hardshrink(part.matrix, part.noise))
        norms.append(_nuclear(part))
    return dataclasses.replace(stack.gated(gate, kept, [1.0] * len(kept)), nuclear_norms=norms)


def outlier(gate: OutlierGate, stack: Stack, site: Site) -> Stack:
    """Clip what lies far outside its row."""
    kept = []
    for delta in stack.deltas:
        limit_O1 = gate.sigmas * delta.square().mean(dim=1, keepdim=True).sqrt()
        kept.append(torch.clamp(delta, -limit_O1, limit_O1))
    return stack.gated(gate, kept, [1.0] * len(kept))


def nuclear(restore: NuclearRestore, stack: Stack, site: Site) -> Deltas:
    """Scale to the nuclear norm before the gates (STAR, arXiv:2502.10339)."""
    restored = []
    for index, (gated, raw) in enumerate(zip(stack.deltas, stack.raw, strict=True)):
        if gated is raw:
            restored.append(gated)
            continue
        left = stack.nuclear_norms[index] if stack.nuclear_norms else _nuclear(decompose(gated))
        restored.append(gated * (_nuclear(spectrum(raw, site)) / left) if left else gated)
    return restored


def _nuclear(parts: Spectrum) -> float:
    return float(parts.values_R.sum(dtype=torch.float64))


def flatten(post: Flatten, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Move singular values towards their mean (Iso-C, arXiv:2502.04959)."""
    parts = decompose(merged)
    if not parts.values_R.numel():
        return merged
    return parts.valued(torch.lerp(parts.values_R, parts.values_R.mean(), post.strength)).matrix


def calibrate(post: Calibrate, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Divide singular values by how often they were counted (SVC, arXiv:2602.05536, algorithm 1).

    An expert that says nothing along a direction counts as once.
    """
    parts = decompose(merged)
    said_RI = parts.values_R[:, None] * parts.right_RI
    counted_R = torch.zeros_like(parts.values_R)
    for delta in raw:
        own_RI = parts.left_OR.T @ delta
        size_R = own_RI.square().sum(dim=1)
        times_R = torch.where(size_R > 0, (said_RI * own_RI).sum(dim=1) / size_R, 1.0)
        counted_R += times_R.clamp(min=post.floor)
    return parts.valued(parts.values_R * len(raw) / counted_R).matrix


def norm_match(post: NormMatch, merged: torch.Tensor, raw: Sequence[torch.Tensor], site: Site) -> torch.Tensor:
    """Scale to the mean norm of the experts (OPCM, arXiv:2501.09522)."""
    peers = site.peers
    if post.scope == "tensor" or peers is None:
        return merged * _norm_ratio([(merged, raw)])
    return merged * site.scope.once(("norm_match", peers.place), lambda: _norm_ratio(peers.tensors()))


def _norm_ratio(tensors: Iterable[tuple[torch.Tensor, Deltas]]) -> float:
    """Mean norm of the experts over the norm of their merge, each over all tensors; 1 where they cancel."""
    merged_squares, squares = list[float](), list[list[float]]()
    for merged, raw in tensors:
        merged_squares.append(_square(merged))
        squares.append([_square(delta) for delta in raw])
    norms = [math.sqrt(math.fsum(each)) for each in zip(*squares, strict=True)]
    norm, mean = math.sqrt(math.fsum(merged_squares)), math.fsum(norms) / len(norms)
    return mean / norm if norm > CANCELLED * mean else 1.0


def _square(tensor: torch.Tensor) -> float:
    return float(tensor.square().sum(dtype=torch.float64))


LENSES: dict[Kind, Lens] = {JointSvd: joint_svd}
GATES: dict[Kind, Gate] = {SpectralTopGate: spectral_top, LowRankGate: low_rank, OutlierGate: outlier}
RESTORES: dict[Kind, Restoration] = {NuclearRestore: nuclear}
POSTS: dict[Kind, Post] = {Flatten: flatten, Calibrate: calibrate, NormMatch: norm_match}
