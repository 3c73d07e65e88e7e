"""Expert Merging: the merged model does as each expert does on that expert's inputs (arXiv:2509.25712)."""

from __future__ import annotations

import torch

from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample

HIDDEN_WEIGHT = 0.1
PENALTY_WEIGHT = 0.1
TEMPERATURE = 1.0


def divergence(logits_TV: torch.Tensor, teacher_TV: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean over positions of temperature² · KL(teacher ‖ student), both softened by the temperature.

    The authors' code writes the cross entropy, which differs by the teacher's entropy and has the same gradient.
    """
    student_TV = (logits_TV / temperature).log_softmax(dim=-1)
    expected_TV = (teacher_TV / temperature).log_softmax(dim=-1)
    return temperature**2 * (expected_TV.exp() * (expected_TV - student_TV)).sum(dim=-1).mean()


def hidden_distance(hidden_LTH: torch.Tensor, teacher_LTH: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of hidden states, layers counting alike."""
    return (hidden_LTH - teacher_LTH).square().mean()


def loss(said: Said, sample: Sample) -> torch.Tensor:
    """Alignment of logits and, with weight 0.1, of the hidden states of all layers. Needs no labels."""
    assert sample.teacher is not None, "every text belongs to an expert"
    hidden_LTH, logits_TV = (part.to(said.logits_TV) for part in (sample.teacher.hidden_LTH, sample.teacher.logits_TV))
    apart = hidden_distance(said.hidden_LTH, hidden_LTH)
    return divergence(said.logits_TV, logits_TV, TEMPERATURE) + HIDDEN_WEIGHT * apart


def penalty(weights_RE: torch.Tensor, start_RE: torch.Tensor) -> torch.Tensor:
    """0.1 · mean over rules of Σ_k |w − w_start|: weights stay where they were unless that is worth something."""
    return PENALTY_WEIGHT * (weights_RE - start_RE).abs().sum(dim=1).mean()
