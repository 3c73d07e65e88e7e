"""Methods: what each refinement wants of the merged model, how it moves, and with what unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from evomerge.refinement import adamerging, dam, expert_merging, fw_merging
from evomerge.refinement.adam import BoundedAdam
from evomerge.refinement.coefficients import Coefficients, Numbers
from evomerge.refinement.fw_merging import FrankWolfe
from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample


class Descent(Protocol):
    """Moves weights against a gradient."""

    def step(self, number: int, weights_RE: Numbers, gradient_RE: Numbers) -> Numbers:
        """The weights after a step, which is counted from 0."""
        ...


def no_penalty(weights_RE: torch.Tensor, start_RE: torch.Tensor) -> torch.Tensor:
    """Nothing is held against any weights."""
    return weights_RE.sum() * 0.0


@dataclass(frozen=True, slots=True)
class Method:
    """One published refiner.

    Attributes:
        loss: Of one text; the mean over texts is minimised.
        penalty: Of weights and those of the start, beside the loss.
        descent: Made from the coefficients, the norms of what they add, and the rate.
        rate: Learning rate of Adam or step size of Frank–Wolfe.
        steps: How many.
        batch: Texts per step; None for all of them.
        asks_experts: Whether every text belongs to an expert, which shows what to do with it.
        takes_means: Whether rules may divide by the sum of their weights.
        remark: What users should know before they trust it.
    """

    loss: Callable[[Said, Sample], torch.Tensor]
    penalty: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = no_penalty
    descent: Callable[[Coefficients, Numbers, float], Descent] = BoundedAdam
    rate: float = 0.01
    steps: int = 100
    batch: int | None = 8
    asks_experts: bool = False
    takes_means: bool = True
    remark: str = ""


METHODS: Mapping[str, Method] = {
    "adamerging": Method(
        adamerging.loss,
        batch=16,
        remark="Entropy is known to be a poor guide for models that generate text: they may be sure and wrong.",
    ),
    "expert_merging": Method(expert_merging.loss, expert_merging.penalty, asks_experts=True),
    "fw_merging": Method(fw_merging.loss, descent=FrankWolfe, rate=0.1, steps=10, batch=None, takes_means=False),
    "dam": Method(dam.loss, dam.penalty, asks_experts=True),
}
"""The papers take smaller rates and many more steps, for thousands of weights; recipes have a few dozen."""
