"""Chunks: an entrywise or rowwise merge done piece by piece, so that its temporaries stay in the processor's cache."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from evomerge.merging.facts import Facts
from evomerge.merging.norms import inner_products
from evomerge.merging.pipe import affine, run_pipe, task_vectors
from evomerge.merging.resolved import is_resolvable, resolved
from evomerge.merging.site import Site
from evomerge.merging.stages import GATES
from evomerge.merging.stages.gates import threshold_of_model
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.parts import Parts
from evomerge.recipe.spans import Span
from evomerge.recipe.stages import Restore, StageValue, TopGate

CHUNK = 1 << 17
"""Entries of a piece: a few pieces of float32 fit a core's cache."""


@dataclass(frozen=True, slots=True)
class Sources:
    """One tensor of every expert and of the origin, flattened.

    Attributes:
        experts: Of one length, any float dtype.
        origin: None for zero.
        keys: Per expert, what names its task vector whatever the recipe; None where a blend takes part.
        piece_size: Entries of a piece, or of somewhat fewer or more where rows must not be cut.
        width: Entries of a row, where pieces are whole rows; 1 where they are flat.
        span: From which entry to just before which pieces are made; None for all.
    """

    experts: Sequence[torch.Tensor]
    origin: torch.Tensor | None
    keys: Sequence[Hashable | None]
    piece_size: int = CHUNK
    width: int = 1
    span: Span | None = None

    @property
    def is_whole(self) -> bool:
        """Whether pieces are made of all entries."""
        return self.span in (None, (0, self.experts[0].numel()))

    def pieces(self) -> Iterator[tuple[int, Sequence[torch.Tensor], torch.Tensor | None]]:
        """Start, experts and origin of every piece."""
        size = max(1, self.piece_size // self.width) * self.width
        first, end = self.span or (0, self.experts[0].numel())
        for start in range(first, end, size):
            span = slice(start, min(start + size, end))
            origin = None if self.origin is None else self._rows(self.origin[span])
            yield start, [self._rows(expert[span]) for expert in self.experts], origin

    def _rows(self, piece: torch.Tensor) -> torch.Tensor:
        return piece if self.width == 1 else piece.view(-1, self.width)


def merge_into(parts: Parts, sources: Sources, site: Site, write: Callable[[int, torch.Tensor], None]) -> None:
    """Merge one tensor piece by piece.

    Args:
        parts: `prepared` ones.
        sources: The tensor's.
        site: The tensor's, as `prepared` gives it.
        write: Takes the start of a piece and the piece, float32 and flat.
    """
    if parts.is_affine:
        terms, weights = affine(parts, sources.experts, None if parts.from_zero else sources.origin)
        _sum_into(dataclasses.replace(sources, experts=terms, origin=None), weights, write)
        return
    for start, experts, origin in sources.pieces():
        write(start, run_pipe(parts, experts, origin, site.piece(start)).flatten())


def _sum_into(sources: Sources, weights: Sequence[float], write: Callable[[int, torch.Tensor], None]) -> None:
    """What `weighted_sum` makes of the sources, in the same memory for all pieces: new memory costs as much as sums."""
    rooms = torch.empty(2, sources.piece_size, device=sources.experts[0].device)
    for start, terms, _ in sources.pieces():
        total, single = rooms[:, : terms[0].numel()]
        total.copy_(terms[0]).mul_(weights[0])
        for term, weight in zip(terms[1:], weights[1:], strict=True):
            total += single.copy_(term).mul_(weight)
        write(start, total)


def can_cut(parts: Parts) -> bool:
    """Whether a piece can be merged without the rest of its tensor, but for a few numbers known beforehand."""
    first, *others = [*parts.gates, None]
    gates = [gate for gate in (others if _is_trim(first) else [first, *others]) if gate is not None]
    restore = () if parts.restore is None or isinstance(parts.restore, Restore) else (parts.restore,)
    rest = (*gates, *restore, parts.lens, parts.vote, parts.weigh, parts.reduce, *parts.posts)
    return all(_is_local(stage) or is_resolvable(stage, parts) for stage in rest if stage is not None)


def _is_local(stage: StageValue) -> bool:
    is_known = stage.is_entrywise_over_model and stage.spans_model
    return stage.is_entrywise or stage.is_rowwise or is_known


def row_width(parts: Parts, tensor: torch.Tensor) -> int:
    """Entries of the rows that pieces must be made of; 1 where a piece may begin anywhere.

    Args:
        parts: Those of which `can_cut` holds.
        tensor: Of any expert; one without rows is one row.
    """
    if not any(stage.is_rowwise for stage in parts.stages):
        return 1
    return max(1, tensor.shape[-1] if tensor.ndim > 1 else tensor.numel())


def _is_trim(gate: object) -> bool:
    return isinstance(gate, TopGate)


def prepared(parts: Parts, sources: Sources, site: Site, facts: Facts) -> tuple[Parts, Site]:
    """The numbers that depend on whole tensors, put where pieces find them.

    Args:
        parts: Those of which `can_cut` holds.
        sources: The tensor's.
        site: The tensor's.
        facts: What is remembered of the models.
    """
    if parts.from_zero:
        sources = dataclasses.replace(sources, origin=None)
    if any(is_resolvable(stage, parts) for stage in parts.stages):
        parts = resolved(parts, _inner_products(sources, facts))
    if parts.gates and isinstance(gate := parts.gates[0], TopGate):
        site = dataclasses.replace(site, thresholds=_thresholds(gate, sources, site, facts))
        if gate.ties == "first":
            ends = tuple(_end_of_ties(gate, sources, site, expert) for expert in range(len(sources.experts)))
            site = dataclasses.replace(site, ends_of_ties=ends)
    if isinstance(parts.restore, Restore) and parts.restore.restore == "l1":
        drops = all(gate.is_stochastic for gate in parts.gates)
        kept = [np.empty(expert.numel(), np.bool_) for expert in sources.experts] if drops else []
        site = dataclasses.replace(site, factors=_l1_factors(parts, sources, site, kept), kept=kept)
    return parts, site


def _thresholds(gate: TopGate, sources: Sources, site: Site, facts: Facts) -> tuple[float, ...]:
    return tuple(_threshold(gate, sources, site, facts, expert) for expert in range(len(sources.experts)))


def _threshold(gate: TopGate, sources: Sources, site: Site, facts: Facts, expert: int) -> float:
    density, total = gate.density_of(expert), sources.experts[expert].numel()
    num_kept = max(1, int(density * total))
    if gate.scope == "model" and density < 1:
        return threshold_of_model(gate, site, expert)
    if num_kept >= total:
        return 0.0

    def pieces() -> Iterator[torch.Tensor]:
        return (task_vectors([experts[expert]], origin)[0] for _, experts, origin in sources.pieces())

    key = sources.keys[expert]
    return (Facts() if key is None else facts).largest(key, pieces, num_kept, total)


def _end_of_ties(gate: TopGate, sources: Sources, site: Site, expert: int) -> int | None:
    """The place after the last entry that stays of those at the threshold; None where all stay."""
    total, threshold = sources.experts[expert].numel(), np.float32((site.thresholds or ())[expert])
    num_kept = max(1, int(gate.density_of(expert) * total))
    if gate.scope == "model" or num_kept >= total:
        return None
    num_above, places = 0, list[npt.NDArray[np.int64]]()
    for start, experts, origin in sources.pieces():
        # NumPy compares several times faster than torch
        magnitude = task_vectors([experts[expert]], origin)[0].abs().flatten().cpu().numpy()
        num_above += int(np.count_nonzero(magnitude > threshold))
        places.append(np.flatnonzero(magnitude == threshold) + start)
    tied, num_staying = np.concatenate(places), num_kept - num_above
    return int(tied[num_staying - 1]) + 1 if num_staying < tied.size else None


def _l1_factors(parts: Parts, sources: Sources, site: Site, kept: Sequence[npt.NDArray[np.bool_]]) -> tuple[float, ...]:
    """What restores the L1 norms that the gates take: one pass through the gates alone.

    Args:
        parts: With gates, which treat both signs alike.
        sources: The tensor's.
        site: The tensor's.
        kept: Per expert, where the entries are written that the gates keep; empty if they do more than drop some.
    """
    before, after = [list[float]() for _ in sources.experts], [list[float]() for _ in sources.experts]
    for start, experts, origin in sources.pieces():
        stack = Stack.of([delta.abs() for delta in task_vectors(experts, origin)])
        for gate in parts.gates:
            stack = GATES[type(gate)](gate, stack, site.piece(start))
        for index, (delta, gated) in enumerate(zip(stack.raw, stack.deltas, strict=True)):
            before[index].append(float(delta.sum(dtype=torch.float64)))
            after[index].append(float(gated.sum(dtype=torch.float64)))
            if kept:
                np.not_equal(gated.flatten().cpu().numpy(), 0, out=kept[index][start : start + gated.numel()])
    return tuple(math.fsum(b) / math.fsum(a) if math.fsum(a) else 1.0 for b, a in zip(before, after, strict=True))


def _inner_products(sources: Sources, facts: Facts) -> npt.NDArray[np.float64]:
    def products() -> npt.NDArray[np.float64]:
        num_experts = len(sources.experts)
        gram_EE = np.zeros((num_experts, num_experts))
        for _, experts, origin in sources.pieces():
            gram_EE += inner_products(task_vectors(experts, origin))
        return gram_EE

    return products() if None in sources.keys else facts.once(("inner products", *sources.keys), products)
