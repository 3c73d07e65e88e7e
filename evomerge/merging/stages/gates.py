"""Gates: which entries of one expert's task vector are kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from evomerge.merging.draws import Draw, chance, level_of
from evomerge.merging.order import largest, threshold_over
from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Gate, Kind
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import BernoulliGate, TopGate


def top(gate: TopGate, stack: Stack, site: Site) -> Stack:
    """Keep the entries of largest magnitude of each expert (TIES, arXiv:2306.01708, section 4)."""
    kept = []
    for index, delta in enumerate(stack.deltas):
        density = gate.density_of(index)
        if density >= 1:
            kept.append(delta)
        elif site.thresholds is not None:
            end = site.ends_of_ties[index] if site.ends_of_ties else None
            kept.append(keep_from(delta, site.thresholds[index], None if end is None else end - site.start))
        elif gate.scope == "model":
            kept.append(keep_from(delta, threshold_of_model(gate, site, index)))
        else:
            kept.append(keep_largest(delta, density, first=gate.ties == "first"))
    return stack.gated(gate, kept, [gate.density_of(index) for index in range(len(kept))])


def keep_largest(delta: torch.Tensor, density: float, *, first: bool = False) -> torch.Tensor:
    """The `max(1, int(density · numel))` entries of largest magnitude, zeros elsewhere.

    Args:
        delta: Task vector of any shape, float32; not modified.
        density: Kept fraction in (0, 1].
        first: Whether, of entries that equal the smallest kept one, only those that come first stay.
    """
    return keep_number(delta, max(1, int(density * delta.numel())), first=first)


def keep_number(delta: torch.Tensor, num_kept: int, *, first: bool = False) -> torch.Tensor:
    """The `num_kept` entries of largest magnitude, zeros elsewhere; `num_kept` is at least 1."""
    if num_kept >= delta.numel():
        return delta
    threshold = largest(delta, num_kept)
    if not first:
        return keep_from(delta, threshold)
    magnitude = delta.abs().flatten()
    kept = magnitude >= threshold
    if surplus := int(kept.count_nonzero()) - num_kept:
        tied = (magnitude == threshold).nonzero().squeeze(1)
        kept[tied[-surplus:]] = False
    return delta * kept.view_as(delta)


def keep_from(delta: torch.Tensor, threshold: float, end_of_ties: int | None = None) -> torch.Tensor:
    """Entries whose magnitude is at least `threshold`, from `end_of_ties` on only larger ones, zeros elsewhere."""
    if end_of_ties is not None and end_of_ties < delta.numel():
        flat = delta.flatten()
        first, rest = flat[: max(0, end_of_ties)], flat[max(0, end_of_ties) :]
        return torch.cat([keep_from(first, threshold), torch.nn.functional.hardshrink(rest, threshold)]).view_as(delta)
    # hardshrink keeps what is larger than its bound and is several times faster than a mask
    below = float(np.nextafter(np.float32(threshold), np.float32(-1)))
    return torch.nn.functional.hardshrink(delta, below) if below > 0 else delta


def bernoulli(gate: BernoulliGate, stack: Stack, site: Site) -> Stack:
    """Keep each entry with probability `density` (DARE, arXiv:2311.03099, equation 2 without its rescaling)."""
    kept = [
        drop(delta, gate.density_of(index), site.draws[index], site.start) for index, delta in enumerate(stack.deltas)
    ]
    return stack.gated(gate, kept, [chance(gate.density_of(index)) for index in range(len(kept))])


def drop(delta: torch.Tensor, density: float, draw: Draw, start: int = 0) -> torch.Tensor:
    """The task vector, or a piece of it that begins at `start`, with zeros for what the draws dropped."""
    if density >= 1:
        return delta
    return masked(delta, draw.numbers(start, start + delta.numel()) < level_of(density))


def masked(delta: torch.Tensor, kept: npt.NDArray[np.bool_]) -> torch.Tensor:
    """A task vector, with zeros where a flat array says that an entry is not kept."""
    # by way of bytes and floats: several times faster than a product with booleans
    mask = torch.from_numpy(kept.view(np.uint8)).to(delta.device, torch.float32)
    return mask.view(delta.shape).mul_(delta)


def threshold_of_model(gate: TopGate, site: Site, expert: int) -> float:
    """The magnitude from which on the largest entries of an expert lie, over all tensors of the rule."""
    density = gate.density_of(expert)

    def task_vectors() -> Iterator[torch.Tensor]:
        return (deltas[expert] for _, deltas in site.scope.deltas())

    return site.scope.once(("top", density, expert), lambda: threshold_over(task_vectors, density))


GATES: dict[Kind, Gate] = {TopGate: top, BernoulliGate: bernoulli}
