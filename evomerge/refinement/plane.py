"""The plane: all merges of a recipe that differ in their weights alone, as one base and what each weight adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from transformers.modeling_utils import PreTrainedModel

from evomerge.merging import ResidentModel
from evomerge.refinement.coefficients import Coefficients

Tensors: TypeAlias = Mapping[str, torch.Tensor]
"""Parameters and floating buffers of the model, by their names in it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model makes of one text.

    Attributes:
        logits_TV: Per token of the text, for the one that follows it.
        hidden_LTH: The embeddings and what every layer writes.
    """

    logits_TV: torch.Tensor
    hidden_LTH: torch.Tensor

    def cpu(self) -> Said:
        """The same in the computer's own memory."""
        return Said(self.logits_TV.cpu(), self.hidden_LTH.cpu())


class Plane:
    """Merged weights as a differentiable function of the coefficients: W = W₀ + Σ c_rk D_rk.

    W₀ and D_rk are asked of the merge itself, once, so that what gates, lenses and restorations do is in them. It takes
    one merge per rule and expert. Memory in float32: the model, W₀, each D_rk where it is not zero (for rules that
    share the tensors out, as many numbers as the experts have), and while a gradient is taken, W and its gradient.
    That is 4 · (N + 4) bytes per parameter for N experts, beside the activations of one text.

    Attributes:
        model: The architecture; its own weights are not used.
        norms_RE: ‖D_rk‖₂.
    """

    def __init__(
        self, coefficients: Coefficients, resident: ResidentModel, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Merge once for each coefficient.

        Args:
            coefficients: Of the recipe.
            resident: Holds any of its merges, in float32.
            tick: Told after every merge.

        Raises:
            CandidateFailed: If the models' tensors do not fit together.
        """
        self.model: PreTrainedModel = resident.model
        self._is_mean_R1 = torch.from_numpy(coefficients.is_mean_R)[:, None]
        resident.hold(coefficients.alone())
        self._base = {name: tensor.clone() for name, tensor in _held(self.model).items()}
        self._deltas: list[list[Tensors]] = []
        for row in range(len(coefficients.rules)):
            self._deltas.append([])
            for expert in range(len(coefficients.experts)):
                resident.hold(coefficients.alone(row, expert))
                moved = {name: tensor - self._base[name] for name, tensor in _held(self.model).items()}
                self._deltas[-1].append({name: delta for name, delta in moved.items() if bool(delta.any())})
                tick()
        self.norms_RE = np.array([[_norm(deltas) for deltas in row] for row in self._deltas])

    def shares(self, weights_RE: torch.Tensor) -> torch.Tensor:
        """What the deltas are multiplied by: the weights, in a mean divided by their sum."""
        return weights_RE / torch.where(self._is_mean_R1, weights_RE.sum(dim=1, keepdim=True), 1.0)

    def at(self, weights_RE: torch.Tensor) -> Tensors:
        """The tensors that weights move, merged in float32; gradients flow back to the weights."""
        merged: dict[str, torch.Tensor] = {}
        for shares_E, row in zip(self.shares(weights_RE), self._deltas, strict=True):
            for share, deltas in zip(shares_E, row, strict=True):
                for name, delta in deltas.items():
                    merged[name] = merged.get(name, self._base[name]) + share.to(delta) * delta
        return merged

    def says(self, tensors: Tensors, tokens: torch.Tensor) -> Said:
        """What the model with these tensors, and W₀ elsewhere, makes of a text.

        Args:
            tensors: As `at` gives them.
            tokens: Shape (1, num_tokens), int64.
        """
        given = {**self._base, **tensors}
        options = {"use_cache": False, "output_hidden_states": True}
        return _said(torch.func.functional_call(self.model, given, (tokens.to(self.model.device),), options))


@torch.no_grad()
def heard(model: PreTrainedModel, tokens: torch.Tensor) -> Said:
    """What a model as it stands makes of a text."""
    return _said(model(tokens.to(model.device), use_cache=False, output_hidden_states=True))


def _said(output: object) -> Said:
    logits, hidden = output.logits, output.hidden_states  # type: ignore[attr-defined]
    return Said(logits[0].float(), torch.stack([layer[0].float() for layer in hidden]))


def _held(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items() if tensor.is_floating_point()}


def _norm(deltas: Tensors) -> float:
    return math.sqrt(math.fsum(float(delta.double().square().sum()) for delta in deltas.values()))
