"""The survey: one pass over a base and its experts that gathers the moments of every tensor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch

from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.compatibility import check_mergeable
from evomerge.checkpoints.diagnosis.moments import Moments, workspace
from evomerge.checkpoints.roles import Position
from evomerge.errors import ConfigError, Problem

K = TypeVar("K", bound=Hashable)
Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is."""


_CHUNK = 1 << 16
"""Entries read at a time: few enough for all models' share to stay in the processor's cache."""


def ignore(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Moments of every tensor.

    Attributes:
        base: Name of the model that changes are taken from.
        experts: Names of the others, in the order of the moments' rows.
        tensors: Moments by the tensor's name.
        shapes: Shapes by the tensor's name.
        parts_of: Layer and role by the tensor's name.
    """

    base: str
    experts: tuple[str, ...]
    tensors: Mapping[str, Moments]
    shapes: Mapping[str, tuple[int, ...]]
    parts_of: Mapping[str, Position]

    def only(self, experts: Collection[str]) -> Survey:
        """Of some of the experts."""
        kept = [index for index, name in enumerate(self.experts) if name in experts]
        tensors = {name: moments.only(kept) for name, moments in self.tensors.items()}
        return Survey(self.base, tuple(self.experts[index] for index in kept), tensors, self.shapes, self.parts_of)

    @property
    def matrices(self) -> Survey:
        """Without vectors: biases, and the weights of norms, which are alike in any two models."""
        tensors = {name: moments for name, moments in self.tensors.items() if len(self.shapes[name]) > 1}
        return Survey(self.base, self.experts, tensors, self.shapes, self.parts_of)

    def grouped(self, key: Callable[[str], K]) -> dict[K, Moments]:
        """Moments of the tensors of each key, in the order in which keys appear."""
        sums: dict[K, Moments] = {}
        for name, moments in self.tensors.items():
            place = key(name)
            sums[place] = sums[place] + moments if place in sums else moments
        return sums

    @property
    def parts(self) -> dict[Position, Moments]:
        """By layer and role."""
        return self.grouped(self.parts_of.__getitem__)

    @property
    def whole(self) -> Moments:
        """Of the whole models."""
        return sum(self.tensors.values(), Moments.nothing(len(self.experts)))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two experts."""
        count = len(self.experts)
        return [(one, other) for one in range(count) for other in range(one + 1, count)]


def survey(models: Mapping[str, Checkpoint], progress: Progress = ignore) -> Survey:
    """Read all models once, side by side, in small chunks.

    Memory holds a few chunks, whatever the size of the models. Tensors of whole numbers, which no merge changes, are
    left out.

    Args:
        models: By name; the first is the base.
        progress: Told after every tensor.

    Raises:
        ConfigError: If tensors do not correspond, or hold what is not a number; all such tensors are named.
    """
    check_mergeable(models, "inspect")
    base, *experts = models
    names = [name for name in models[base].names if models[base].dtype(name).is_floating_point]
    shapes = {name: models[base].shape(name) for name in names}
    total = sum(torch.Size(shape).numel() for shape in shapes.values())
    tensors: dict[str, Moments] = {}
    problems: list[Problem] = []
    room = workspace(len(experts), _CHUNK)
    done = 0
    for name in names:
        tensors[name] = _moments([checkpoint.tensor(name) for checkpoint in models.values()], room)
        if not tensors[name].is_finite:
            problems += _not_finite(models, name)
        done += tensors[name].num_entries
        progress("reading", done, total)
    ConfigError.raise_if_any(problems)
    positions = {name: models[base].position(name) for name in names}
    parts = {name: Position(position.layer, position.role) for name, position in positions.items()}
    return Survey(base, tuple(experts), tensors, shapes, parts)


def _moments(tensors: list[torch.Tensor], room: torch.Tensor) -> Moments:
    flat = [tensor.detach().reshape(-1) for tensor in tensors]
    sums = Moments.nothing(len(tensors) - 1)
    for start in range(0, flat[0].numel(), _CHUNK):
        base_C, *experts = [tensor[start : start + _CHUNK] for tensor in flat]
        sums = sums + Moments.of(base_C, experts, room)
    return sums


def _not_finite(models: Mapping[str, Checkpoint], name: str) -> list[Problem]:
    counts = {model: int((~checkpoint.tensor(name).isfinite()).sum()) for model, checkpoint in models.items()}
    return [
        Problem(
            f"inspect: models.{model}", f"{count} entries of {name} are NaN or infinite. Get the model from its source."
        )
        for model, count in counts.items()
        if count
    ]
