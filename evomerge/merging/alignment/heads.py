"""Heads: attention heads of a layer matched to the reference's, with the rotations inside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from evomerge.merging.alignment.assignment import assign
from evomerge.merging.alignment.blocks import Geometry, Part
from evomerge.merging.alignment.gauge import Fit, fixed, gain, orthogonal, rotary, worthwhile


@dataclass(frozen=True, slots=True)
class Heads:
    """New places and rotations of heads. Letters: G key/value heads, H query heads, D channels.

    Attributes:
        kv_heads_G: int64: the key/value head that takes each place.
        query_heads_H: int64: the query head that takes each place, after its key/value head.
        score_rotations_GDD: float64, of queries and keys; None where nothing is rotated.
        value_rotations_GDD: float64, of values and outputs; None where nothing is rotated.
    """

    kv_heads_G: torch.Tensor
    query_heads_H: torch.Tensor
    score_rotations_GDD: torch.Tensor | None
    value_rotations_GDD: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class _Circuit:
    """Two projections that meet in an inner product over a head's channels: keys and queries, or values and outputs.

    Rows of the overlaps are the reference's, columns the model's. Q counts query heads of one key/value head.

    Attributes:
        shared_GGDD: Overlaps of the projections that query heads share: keys or values.
        own_GQGQDD: Overlaps of those that query heads have of their own: queries or outputs.
        fit: The freedom of rotation.
    """

    shared_GGDD: torch.Tensor
    own_GQGQDD: torch.Tensor
    fit: Fit

    def between(self, place: int, head: int) -> _Meeting:
        """Only what concerns one key/value head of the model in one place of the reference."""
        return _Meeting(self.shared_GGDD[place, head], self.own_GQGQDD[place, :, head], self.fit)


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A circuit's overlaps between one key/value head of the reference and one of the model."""

    shared_DD: torch.Tensor
    own_QQDD: torch.Tensor
    fit: Fit

    def gains(self) -> torch.Tensor:
        """(Q, Q): what each pair of query heads would gain with rotations of its own."""
        overlaps_QQDD = self.shared_DD + self.own_QQDD
        return gain(self.fit(overlaps_QQDD), overlaps_QQDD)

    def total(self, order_Q: torch.Tensor) -> torch.Tensor:
        """(D, D): overlaps of everything that one rotation acts on."""
        return self.shared_DD + self.own_QQDD[torch.arange(len(order_Q)), order_Q].sum(dim=0)


@dataclass(frozen=True, slots=True)
class _Match:
    """The best found for one key/value head of the model in one place."""

    gain: float
    order_Q: torch.Tensor
    rotations: tuple[torch.Tensor, ...]


def match_heads(
    reference: Mapping[Part, torch.Tensor], model: Mapping[Part, torch.Tensor], geometry: Geometry, gauge: str
) -> Heads:
    """Match heads by their weights.

    A key/value head moves with the query heads that it serves, which are permuted among themselves. Without
    rotations the result is optimal: an assignment of assignments. With them, query heads and rotations of one
    key/value head depend on each other and are improved in turn until nothing is gained.

    Args:
        reference: Parts of its layer, each (units, width).
        model: The same of the model's.
        geometry: Sizes of both.
        gauge: One of GAUGES.

    Returns:
        Places and rotations for the model's heads.
    """
    is_free = gauge == "rotation"
    score_fit = rotary if is_free and geometry.rotary_keys else fixed
    circuits = (
        _circuit(reference, model, "key", "query", geometry, score_fit),
        _circuit(reference, model, "value", "output", geometry, orthogonal if is_free else fixed),
    )
    places = range(geometry.kv_heads)
    table = [[_match(*(circuit.between(place, head) for circuit in circuits)) for head in places] for place in places]
    kv_heads_G = assign(torch.tensor([[match.gain for match in row] for row in table], dtype=torch.float64))
    chosen = [table[place][head] for place, head in enumerate(kv_heads_G.tolist())]
    group = geometry.query_heads // geometry.kv_heads
    query_heads_GQ = kv_heads_G[:, None] * group + torch.stack([match.order_Q for match in chosen])
    score, value = (torch.stack(rotations) for rotations in zip(*(match.rotations for match in chosen), strict=True))
    return Heads(kv_heads_G, query_heads_GQ.flatten(), _unless_identity(score), _unless_identity(value))


def _circuit(
    reference: Mapping[Part, torch.Tensor],
    model: Mapping[Part, torch.Tensor],
    shared: Part,
    own: Part,
    geometry: Geometry,
    fit: Fit,
) -> _Circuit:
    def overlaps(part: Part) -> torch.Tensor:
        # float64: what is small in one channel decides the rotation there, and must not drown in rounding
        heads, size = geometry.units(part) // geometry.head_dim, geometry.head_dim
        products = reference[part].double() @ model[part].double().T
        return products.view(heads, size, heads, size).transpose(1, 2)

    own_HHDD, kv_heads = overlaps(own), geometry.kv_heads
    own_GQGQDD = own_HHDD.reshape(kv_heads, -1, kv_heads, len(own_HHDD) // kv_heads, *own_HHDD.shape[2:])
    return _Circuit(overlaps(shared), own_GQGQDD, fit)


def _match(*circuits: _Meeting) -> _Match:
    order_Q = assign(torch.stack([circuit.gains() for circuit in circuits]).sum(dim=0))
    best = _rotated(circuits, order_Q)
    while True:
        turned = zip(best.rotations, circuits, strict=True)
        order_Q = assign(torch.stack([gain(rotation, circuit.own_QQDD) for rotation, circuit in turned]).sum(dim=0))
        other = _rotated(circuits, order_Q)
        if other.gain <= best.gain:
            kept = [worthwhile(turn, c.total(best.order_Q)) for turn, c in zip(best.rotations, circuits, strict=True)]
            return _Match(best.gain, best.order_Q, tuple(kept))
        best = other


def _rotated(circuits: tuple[_Meeting, ...], order_Q: torch.Tensor) -> _Match:
    totals = [circuit.total(order_Q) for circuit in circuits]
    rotations = tuple(circuit.fit(total) for circuit, total in zip(circuits, totals, strict=True))
    gained = sum(float(gain(turn, total)) for turn, total in zip(rotations, totals, strict=True))
    return _Match(gained, order_Q, rotations)


def _unless_identity(rotations_GDD: torch.Tensor) -> torch.Tensor | None:
    return None if torch.equal(rotations_GDD, fixed(rotations_GDD)) else rotations_GDD
