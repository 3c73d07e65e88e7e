"""The site: what a stage may know of the tensor it acts on, beyond the tensor itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch

from evomerge.checkpoints.roles import Position
from evomerge.merging.draws import Draw
from evomerge.merging.facts import Facts
from evomerge.recipe.calibration import StatisticKind

T = TypeVar("T")

_TABLES = ("embedding", "head")
"""Roles whose tensors are tables of vectors: their singular vectors mean nothing (rows of unseen tokens are zero)."""


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
class Peers:
    """The tensors of a rule as they stand just before a post whose effect on one depends on the others.

    Attributes:
        place: How many posts come before.
        tensors: Gives, one tensor after the other, the merged task vector and those of the experts, in float32.
    """

    place: int
    tensors: Callable[[], Iterator[tuple[torch.Tensor, Sequence[torch.Tensor]]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A statistic of one model, read at one tensor.

    Attributes:
        values: Float32, on the CPU; its shape depends on the kind.
        mean: Of the values.
        norm: Square root of the sum of the squares of all values of the model.
    """

    values: torch.Tensor
    mean: float
    norm: float


Statistics: TypeAlias = Callable[[StatisticKind, int | None], Reading | None]
"""Gives a statistic of the expert at a place, or of the origin for None; None where nothing was measured."""


def _unmeasured(kind: StatisticKind, place: int | None) -> Reading | None:
    return None


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
        heard: Gives, one tensor of the rule after the other, what votes hear: task vectors after gates and restoration,
            and the weight of each, a number or a tensor that broadcasts over it.
        start: Where in the flattened tensor the piece begins; 0 for whole tensors.
        thresholds: Per expert, the magnitude that its first gate keeps from, where known beforehand.
        ends_of_ties: Per expert, the place from which on entries that equal the threshold go; None for nowhere.
        factors: Per expert, what restores the L1 norm, where known beforehand.
        kept: Per expert, which entries of the flattened tensor its gates keep, where known beforehand.
        facts: What is remembered of the models, where something is.
        keys: Per expert, what names its task vector whatever the recipe; None where a blend takes part.
        own: Per expert, its task vector before any stage, for stages that act on matrices.
        peers: For a post that spans the model, the tensors that it spans.
        statistics: What was measured of the models at the whole tensor.
    """

    tensor: str
    position: Position
    num_layers: int
    draws: Sequence[Draw]
    scope: Scope
    origin: torch.Tensor | None = None
    voices: Callable[[], Iterator[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]] = _nothing
    heard: Callable[[], Iterator[tuple[Sequence[torch.Tensor], Sequence[float | torch.Tensor]]]] = _nothing
    start: int = 0
    thresholds: tuple[float, ...] | None = None
    ends_of_ties: tuple[int | None, ...] | None = None
    factors: tuple[float, ...] | None = None
    kept: Sequence[npt.NDArray[np.bool_]] = ()
    facts: Facts | None = None
    keys: Sequence[Hashable | None] = ()
    own: Sequence[torch.Tensor] = ()
    peers: Peers | None = None
    statistics: Statistics = _unmeasured

    def has_matrices(self, shape: torch.Size) -> bool:
        """Whether the tensor is a matrix, or a stack of them, with singular vectors that mean something."""
        is_matrix = len(shape) >= 2 and min(shape[-2:]) >= 2 and shape.numel() > 0
        return is_matrix and self.position.role not in _TABLES

    def piece(self, start: int) -> Site:
        """The same site for a piece of the tensor."""
        return dataclasses.replace(self, start=start)


def lone_site(
    draws: Sequence[Draw],
    deltas: Sequence[torch.Tensor],
    tensor: str = "tensor",
    statistics: Statistics = _unmeasured,
) -> Site:
    """The site of a tensor that is a model of its own, of one layer.

    Args:
        draws: Per expert.
        deltas: Task vector per expert, which the scope consists of.
        tensor: Its name.
        statistics: What was measured.
    """

    def only() -> Iterator[tuple[Site, list[torch.Tensor]]]:
        yield site, list(deltas)

    site = Site(tensor, Position(0, "mlp"), 1, draws, Scope(only), statistics=statistics)
    return site
