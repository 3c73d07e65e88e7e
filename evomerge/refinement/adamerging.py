"""AdaMerging: weights under which the merged model is surest of itself (arXiv:2310.02575)."""

from __future__ import annotations

import torch

from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample


def entropy(logits_TV: torch.Tensor) -> torch.Tensor:
    """Mean over positions of −Σ p log p, in nats (equation 5)."""
    logs_TV = logits_TV.log_softmax(dim=-1)
    return -(logs_TV.exp() * logs_TV).sum(dim=-1).mean()


def loss(said: Said, sample: Sample) -> torch.Tensor:
    """Entropy of what is predicted, for unlabelled texts.

    The paper classifies images. Of language models that generate it is known to fail: a model may be sure and wrong,
    and one that repeats itself is surest. The paper trains a weight for each tensor; here it is one for each rule.
    """
    return entropy(said.logits_TV)
