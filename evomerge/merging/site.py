"""The site: what a stage may know of the tensor it acts on, beyond the tensor itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch

from evomerge.checkpoints.roles import Position
from evomerge.merging.draws import Draw

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """All tensors that one rule of a blend governs, for stages whose effect on one depends on the others.

    Attributes:
        deltas: Gives, one tensor after the other, its site and the task vectors of all experts, in float32.
        known: What was computed from them already.
    """

    deltas: Callable[[], Iterator[tuple[Site, list[torch.Tensor]]]]
    known: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute`, called once per rule and recipe."""
        if key not in self.known:
            self.known[key] = compute()
        return cast("T", self.known[key])


def _nothing() -> Iterator[Any]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Site:
    """One tensor, or a piece of it, in one blend.

    Attributes:
        tensor: Its name.
        position: Its layer and role.
        num_layers: Of the model.
        draws: Where the random numbers come from, per expert.
        scope: All tensors of the same rule.
        origin: What task vectors are measured from, in any float dtype; None for zero.
        voices: Gives, one tensor of the rule after the other, the task vectors before and after gates and restoration.
        outcomes: Gives, one tensor of the rule after the other, the task vectors and what they were merged to so far.
        start: Where in the flattened tensor the piece begins; 0 for whole tensors.
        thresholds: Per expert, the magnitude that its first gate keeps from, where known beforehand.
        ends_of_ties: Per expert, the place from which on entries that equal the threshold go; None for nowhere.
        factors: Per expert, what restores the L1 norm, where known beforehand.
    """

    tensor: str
    position: Position
    num_layers: int
    draws: Sequence[Draw]
    scope: Scope
    origin: torch.Tensor | None = None
    voices: Callable[[], Iterator[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]] = _nothing
    outcomes: Callable[[], Iterator[tuple[Sequence[torch.Tensor], torch.Tensor]]] = _nothing
    start: int = 0
    thresholds: tuple[float, ...] | None = None
    ends_of_ties: tuple[int | None, ...] | None = None
    factors: tuple[float, ...] | None = None

    def piece(self, start: int) -> Site:
        """The same site for a piece of the tensor."""
        return dataclasses.replace(self, start=start)


def lone_site(draws: Sequence[Draw], deltas: Sequence[torch.Tensor], tensor: str = "tensor") -> Site:
    """The site of a tensor that is a model of its own, of one layer.

    Args:
        draws: Per expert.
        deltas: Task vector per expert, which the scope consists of.
        tensor: Its name.
    """

    def only() -> Iterator[tuple[Site, list[torch.Tensor]]]:
        yield site, list(deltas)

    site = Site(tensor, Position(0, "mlp"), 1, draws, Scope(only))
    return site
