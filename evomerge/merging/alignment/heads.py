"""Heads: attention heads of a layer matched to the reference's, with the rotations inside them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from evomerge.merging.alignment.assignment import assign
from evomerge.merging.alignment.blocks import Geometry, Part
from evomerge.merging.alignment.gauge import Fit, Gauge, fixed, gain, orthogonal, rotary, worthwhile

_ROUNDING = 1e-9
"""Share of a gain, in float64, that may be rounding."""


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

    def gains_of_pairs(self) -> torch.Tensor:
        """(Q, Q): what each pair of query heads would gain with a rotation of its own."""
        overlaps_QQDD = self.shared_DD + self.own_QQDD
        return gain(self.fit(overlaps_QQDD), overlaps_QQDD)

    def overlaps(self, orders_KQ: torch.Tensor) -> torch.Tensor:
        """(K, D, D): overlaps of all that one rotation acts on, for each order of query heads."""
        return self.shared_DD + self.own_QQDD[torch.arange(orders_KQ.shape[1]), orders_KQ].sum(dim=1)

    def gains(self, orders_KQ: torch.Tensor) -> torch.Tensor:
        """(K,): what each order gains with the rotation that fits it best."""
        overlaps_KDD = self.overlaps(orders_KQ)
        return gain(self.fit(overlaps_KDD), overlaps_KDD)


@dataclass(frozen=True, slots=True)
class _Match:
    """The best order found for the query heads of one key/value head of the model in one place."""

    meeting: tuple[_Meeting, ...]
    order_Q: torch.Tensor
    gain: float

    def rotation(self, circuit: int) -> torch.Tensor:
        """(D, D): what fits the order best, or the identity where that is nearly as good."""
        overlaps_DD = self.meeting[circuit].overlaps(self.order_Q[None])[0]
        return worthwhile(self.meeting[circuit].fit(overlaps_DD), overlaps_DD)


def match_heads(
    reference: Mapping[Part, torch.Tensor], model: Mapping[Part, torch.Tensor], geometry: Geometry, gauge: Gauge
) -> Heads:
    """Match heads by their weights.

    A key/value head moves with the query heads that it serves, which are permuted among themselves. Without
    rotations the result is optimal: an assignment of assignments. With them, the order of query heads and the
    rotations of their key/value head depend on each other, and the order is improved until no exchange gains.

    Args:
        reference: Parts of its layer, each (units, width).
        model: The same of the model's.
        geometry: Sizes of both.
        gauge: Whether heads may be rotated.

    Returns:
        Places and rotations for the model's heads.
    """
    is_free = gauge == "rotation"
    circuits = (
        _circuit(reference, model, "key", "query", geometry, rotary if is_free and geometry.rotary_keys else fixed),
        _circuit(reference, model, "value", "output", geometry, orthogonal if is_free else fixed),
    )
    places = range(geometry.kv_heads)
    table = [[_match(*(circuit.between(place, head) for circuit in circuits)) for head in places] for place in places]
    kv_heads_G = assign(torch.tensor([[match.gain for match in row] for row in table], dtype=torch.float64))
    chosen = [table[place][head] for place, head in enumerate(kv_heads_G.tolist())]
    first_G1 = kv_heads_G[:, None] * (geometry.query_heads // geometry.kv_heads)
    query_heads_GQ = first_G1 + torch.stack([match.order_Q for match in chosen])
    score, value = (torch.stack([match.rotation(circuit) for match in chosen]) for circuit in (0, 1))
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


def _match(*meeting: _Meeting) -> _Match:
    """Start with query heads where they are, and with the best pairs if rotations were each pair's own."""
    pairs_Q = assign(torch.stack([circuit.gains_of_pairs() for circuit in meeting]).sum(dim=0))
    starts = (torch.arange(len(pairs_Q)), pairs_Q)
    return max((_climb(meeting, order_Q) for order_Q in starts), key=lambda match: match.gain)


def _climb(meeting: tuple[_Meeting, ...], order_Q: torch.Tensor) -> _Match:
    """Exchange two query heads while that gains, with rotations fitted to every order."""
    exchanges = list(itertools.combinations(range(len(order_Q)), 2))
    gained = float(_gains(meeting, order_Q[None])[0])
    while exchanges:
        orders_KQ = order_Q.repeat(len(exchanges), 1)
        for order, (one, other) in zip(orders_KQ, exchanges, strict=True):
            order[[one, other]] = order[[other, one]]
        gains_K = _gains(meeting, orders_KQ)
        best = int(gains_K.argmax())
        if float(gains_K[best]) <= gained + _ROUNDING * abs(gained):
            break
        gained, order_Q = float(gains_K[best]), orders_KQ[best]
    return _Match(meeting, order_Q, gained)


def _gains(meeting: tuple[_Meeting, ...], orders_KQ: torch.Tensor) -> torch.Tensor:
    return torch.stack([circuit.gains(orders_KQ) for circuit in meeting]).sum(dim=0)


def _unless_identity(rotations_GDD: torch.Tensor) -> torch.Tensor | None:
    return None if torch.equal(rotations_GDD, fixed(rotations_GDD)) else rotations_GDD
