"""Stages that read statistics of the models, entry by entry or channel by channel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from evomerge.merging.order import largest, threshold_over
from evomerge.merging.site import Reading, Site
from evomerge.merging.stages.gates import keep_from
from evomerge.merging.stages.reducers import said
from evomerge.merging.stages.signatures import Deltas, Factor, Gate, Kind, Masks, Post, Reducer, Weigher
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages.calibrated import Channel, First, FisherWeigh, PriorGate, SalientGate, SensitivityWeigh


def salient(gate: SalientGate, stack: Stack, site: Site) -> Stack:
    """Keep the largest curvature · τ² (OBIM, arXiv:2502.12217; FFG of OTA with a density for its threshold)."""
    kept = []
    for index, delta in enumerate(stack.deltas):
        density = gate.density_of(index)
        if density >= 1:
            kept.append(delta)
            continue
        score = _saliency(gate, delta, site, index)
        threshold = _threshold(gate, score, site, index, density)
        kept.append(delta * keep_from(score, threshold).sign_())
    return stack.gated(gate, kept, [gate.density_of(index) for index in range(len(kept))])


def _saliency(gate: SalientGate, delta: torch.Tensor, site: Site, expert: int) -> torch.Tensor:
    """The root of curvature · τ², which has the same order and cannot underflow."""
    reading = site.statistics(gate.of, expert)
    if reading is None:
        return delta.abs()
    if gate.of == "act_sq":
        return delta.abs() * _per_input(reading.values, delta, site).sqrt()
    return delta.abs() * _entries(reading, delta, site).sqrt()


def _threshold(gate: SalientGate, score: torch.Tensor, site: Site, expert: int, density: float) -> float:
    if gate.scope == "tensor":
        return largest(score, max(1, int(density * score.numel())))

    def scores() -> Iterator[torch.Tensor]:
        return (_saliency(gate, deltas[expert], at, expert) for at, deltas in site.scope.deltas())

    return site.scope.once(("salient", gate.of, density, expert), lambda: threshold_over(scores, density))


def prior(gate: PriorGate, stack: Stack, site: Site) -> Stack:
    """Keep entries at which most texts gain more than the origin loses (RCP-Merging, arXiv:2508.03140)."""
    information = site.statistics("fisher", None)
    kept = []
    for index, delta in enumerate(stack.deltas):
        gradient = site.statistics("grad_median", index)
        if gradient is None or information is None:
            kept.append(delta)
            continue
        loss = gate.penalty * _entries(information, delta, site) * delta.abs()
        kept.append(delta * (_entries(gradient, delta, site) > loss))
    return stack.gated(gate, kept, [1.0] * len(kept))


def fisher(weigh: FisherWeigh, stack: Stack, site: Site) -> Sequence[Factor]:
    """Weight · max(F, floor)^power (Fisher averaging, arXiv:2111.09832, equation 5, has power 1)."""
    readings = [site.statistics("fisher", index) for index in range(len(stack.deltas))]
    found = [reading for reading in readings if reading is not None]
    if len(found) < len(readings):
        return weigh.weights
    mean = math.fsum(reading.mean for reading in found) / len(found) or 1.0
    floor = weigh.floor * (mean if weigh.unit == "mean" else 1.0)
    factors: list[Factor] = []
    for weight, reading, delta in zip(weigh.weights, found, stack.deltas, strict=True):
        information = _entries(reading, delta, site).clamp(min=floor)
        if weigh.normalise == "model":
            information /= reading.norm or 1.0
        factors.append(weight * (information if weigh.power == 1 else information**weigh.power))
    return factors


def sensitivity(weigh: SensitivityWeigh, stack: Stack, site: Site) -> Sequence[Factor]:
    """N · softmax(sensitivity · transfer / T) over experts (Sens-Merging, arXiv:2502.12420, equations 4 to 7)."""
    readings = [site.statistics("grad_sens", index) for index in range(len(stack.deltas))]
    found = [float(reading.values) for reading in readings if reading is not None]
    if len(found) < len(readings):
        return [1.0] * len(readings)
    products = [alpha * carried / weigh.temperature for alpha, carried in zip(found, weigh.transfer, strict=True)]
    powers = [math.exp(product - max(products)) for product in products]
    return [len(powers) * power / math.fsum(powers) for power in powers]


def first(reduce: First, deltas: Deltas, masks: Masks, weights: Sequence[Factor], site: Site) -> torch.Tensor:
    """Entry by entry, the first expert that is not zero."""
    merged = torch.zeros_like(deltas[0])
    for delta, weight in zip(said(deltas, masks), weights, strict=True):
        merged = torch.where(merged == 0, delta * weight, merged)
    return merged


def channel(post: Channel, merged: torch.Tensor, raw: Deltas, site: Site) -> torch.Tensor:
    """Multiply column j by 1 − (1 − floor) · a_j / max a (AIM, arXiv:2502.02421, equation 3)."""
    reading = site.statistics("act_mean", None)
    if reading is None or merged.dim() != 2 or not (most := float(reading.values.max())):
        return merged
    return merged * (1 - (1 - post.floor) / most * _per_input(reading.values, merged, site))


def _entries(reading: Reading, delta: torch.Tensor, site: Site) -> torch.Tensor:
    """The values that belong to a piece of the tensor, or to as many of its first rows as all models share."""
    piece = reading.values.flatten()[site.start : site.start + delta.numel()]
    return piece.to(delta.device).view_as(delta)


def _per_input(values_I: torch.Tensor, delta: torch.Tensor, site: Site) -> torch.Tensor:
    """Values of the inputs of a linear map, so laid out that they broadcast over its matrix."""
    values_I = values_I.to(delta.device)
    return values_I[:, None] if site.position.transposed else values_I


GATES: dict[Kind, Gate] = {SalientGate: salient, PriorGate: prior}
WEIGHERS: dict[Kind, Weigher] = {FisherWeigh: fisher, SensitivityWeigh: sensitivity}
REDUCERS: dict[Kind, Reducer] = {First: first}
POSTS: dict[Kind, Post] = {Channel: channel}
