"""An alignment: new places of hidden units and heads in every layer, applied tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from evomerge.merging.alignment.assignment import assign
from evomerge.merging.alignment.blocks import Blocks, Part
from evomerge.merging.alignment.gauge import Gauge
from evomerge.merging.alignment.heads import Heads, match_heads


@dataclass(frozen=True, slots=True)
class LayerAlignment:
    """New coordinates inside one layer. The residual stream, which all layers share, keeps its own.

    Attributes:
        hidden_units_I: int64: the hidden unit of the MLP that takes each place.
        heads: New places and rotations of attention heads.
    """

    hidden_units_I: torch.Tensor
    heads: Heads

    def apply(self, part: Part, rows: torch.Tensor) -> torch.Tensor:
        """A part in the new coordinates.

        Args:
            part: Which.
            rows: (units, width), any dtype. Permuted bits are not touched; rotations are computed in float32 at
                least and rounded once.

        Returns:
            The same shape and dtype.
        """
        heads = self.heads
        match part:
            case "gate" | "up" | "down":
                return rows[self.hidden_units_I]
            case "query":
                return _moved(rows, heads.query_heads_H, heads.score_rotations_GDD)
            case "key":
                return _moved(rows, heads.kv_heads_G, heads.score_rotations_GDD)
            case "value":
                return _moved(rows, heads.kv_heads_G, heads.value_rotations_GDD)
            case "output":
                return _moved(rows, heads.query_heads_H, heads.value_rotations_GDD)


@dataclass(frozen=True, slots=True)
class Alignment:
    """New coordinates for one model.

    Attributes:
        layers: In order.
    """

    layers: tuple[LayerAlignment, ...]

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return not any(self.moved.values())

    @property
    def is_rotating(self) -> bool:
        """Whether anything is more than permuted."""
        heads = [layer.heads for layer in self.layers]
        return any(h.score_rotations_GDD is not None or h.value_rotations_GDD is not None for h in heads)

    @property
    def moved(self) -> dict[str, int]:
        """How many units of each kind change their place, and how many key/value heads are rotated, over all layers."""
        heads = [layer.heads for layer in self.layers]
        return {
            "hidden units": sum(_num_moved(layer.hidden_units_I) for layer in self.layers),
            "key/value heads": sum(_num_moved(each.kv_heads_G) for each in heads),
            "query heads": sum(_num_moved(each.query_heads_H) for each in heads),
            "rotated queries and keys": sum(_num_rotated(each.score_rotations_GDD) for each in heads),
            "rotated values and outputs": sum(_num_rotated(each.value_rotations_GDD) for each in heads),
        }

    def tensor(self, blocks: Blocks, name: str) -> torch.Tensor:
        """A tensor of the model's checkpoint in the new coordinates, in its stored dtype."""
        tensor, place = blocks.checkpoint.tensor(name), blocks.places.get(name)
        if place is None:
            return tensor
        layer = self.layers[place.layer]
        rows = torch.cat([layer.apply(part, rows) for part, rows in blocks.split(place, tensor).items()])
        return rows.reshape(tensor.movedim(place.axis, 0).shape).movedim(0, place.axis)


def align(
    reference: Blocks,
    model: Blocks,
    gauge: Gauge = "rotation",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Alignment:
    """Find the coordinates in which a model is most like a reference.

    Weight matching (Git Re-Basin, arXiv:2209.04836): what is maximised is the sum of inner products of all parts with
    the reference's. As the residual stream stays as it is, layers do not depend on one another, and one pass over
    them suffices. Memory holds the parts of one layer of both models and I × I gains.

    Args:
        reference: Its layers.
        model: Layers of the model to align, of the same geometry (`check_alignable`).
        gauge: Whether heads may be rotated.
        progress: Told how many layers of how many are done.

    Returns:
        The alignment of `model`. It never changes what the model computes, but for rounding.
    """
    layers = []
    for layer in range(model.geometry.layers):
        wanted, parts = reference.read(layer), model.read(layer)
        heads = match_heads(wanted, parts, model.geometry, gauge)
        layers.append(LayerAlignment(_match_hidden_units(wanted, parts), heads))
        progress(layer + 1, model.geometry.layers)
    return Alignment(tuple(layers))


def _match_hidden_units(reference: Mapping[Part, torch.Tensor], model: Mapping[Part, torch.Tensor]) -> torch.Tensor:
    """One permutation for the rows of gate and up and the columns of down."""
    parts: tuple[Part, ...] = ("gate", "up", "down")
    gains_II = torch.zeros(len(model["up"]), len(model["up"]))
    for part in parts:
        gains_II.addmm_(reference[part], model[part].T)
    return assign(gains_II)


def _moved(rows: torch.Tensor, order: torch.Tensor, rotations_GDD: torch.Tensor | None) -> torch.Tensor:
    heads: torch.Tensor = rows.reshape(len(order), -1, rows.shape[1])[order]
    if rotations_GDD is not None:
        exact = torch.promote_types(rows.dtype, torch.float32)
        per_head = rotations_GDD.to(exact).repeat_interleave(len(order) // len(rotations_GDD), dim=0)
        heads = (per_head @ heads.to(exact)).to(rows.dtype)
    return heads.flatten(0, 1)


def _num_moved(order: torch.Tensor) -> int:
    return int((order != torch.arange(len(order))).sum())


def _num_rotated(rotations_GDD: torch.Tensor | None) -> int:
    if rotations_GDD is None:
        return 0
    identity = torch.eye(rotations_GDD.shape[-1], dtype=rotations_GDD.dtype)
    return int((rotations_GDD != identity).flatten(1).any(dim=1).sum())
