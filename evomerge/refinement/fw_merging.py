"""FW-Merging: Frank–Wolfe over the checkpoints, rule by rule, with gradients on labelled texts (arXiv:2503.12649)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from evomerge.refinement.coefficients import Coefficients, Numbers
from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample


def loss(said: Said, sample: Sample) -> torch.Tensor:
    """Mean −log p of the answer's tokens, or of all but the first where a text has no prompt."""
    first = max(1, min(sample.num_prompt, sample.tokens.shape[1] - 1))
    return cross_entropy(said.logits_TV[first - 1 : -1], sample.tokens[0, first:].to(said.logits_TV.device))


def vertices(gradient_RE: Numbers, norms_RE: Numbers) -> Numbers:
    """Per rule the expert whose task vector points most against the gradient: 1 for it, 0 for the others.

    The origin, zeros throughout, where none points against it. With ⟨∇L, τ_k⟩ for the gradient by a weight, the cosine
    is that over ‖τ_k‖, up to a factor that all experts share; the authors' code compares cosines, the paper products.

    Args:
        gradient_RE: Derivatives of the loss by the weights.
        norms_RE: ‖τ_k‖ in each rule.
    """
    cosines_RE = np.divide(gradient_RE, norms_RE, out=np.zeros_like(gradient_RE), where=norms_RE > 0)
    best_R = cosines_RE.argmin(axis=1)
    chosen_RE = np.eye(gradient_RE.shape[1])[best_R]
    return np.where(cosines_RE.min(axis=1, keepdims=True) < 0, chosen_RE, 0.0)


class FrankWolfe:
    """w ← w + γ (s − w) with γ = 2 / (t + 2) · rate and the vertex s, at step t from 0."""

    def __init__(self, coefficients: Coefficients, norms_RE: Numbers, rate: float) -> None:
        self._free_RE, self._rate = coefficients.free, rate
        self._low_RE, self._high_RE = coefficients.low_RE, coefficients.high_RE
        self._norms_RE = norms_RE

    def step(self, number: int, weights_RE: Numbers, gradient_RE: Numbers) -> Numbers:
        """The next weights; vertices are drawn to where bounds allow them."""
        vertices_RE = vertices(np.where(self._free_RE, gradient_RE, 0.0), self._norms_RE)
        vertices_RE = np.clip(vertices_RE, self._low_RE, self._high_RE)
        return weights_RE + 2 / (number + 2) * self._rate * (vertices_RE - weights_RE)
