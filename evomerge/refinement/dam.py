"""DAM, differentiable adaptive merging: the logits of each source on its own data (arXiv:2410.08371)."""

from __future__ import annotations

import itertools

import torch

from evomerge.refinement.expert_merging import divergence
from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample

TEMPERATURE = 2.0
SIMILARITY_WEIGHT = 0.01
NORM_WEIGHT = 1e-6


def loss(said: Said, sample: Sample) -> torch.Tensor:
    """KL from the text's own expert to the merged model, at temperature 2."""
    assert sample.teacher is not None, "every text belongs to an expert"
    return divergence(said.logits_TV, sample.teacher.logits_TV.to(said.logits_TV), TEMPERATURE)


def penalty(weights_RE: torch.Tensor, start_RE: torch.Tensor) -> torch.Tensor:
    """0.01 · mean cosine of the experts' weights, pair by pair, and 1e-6 · their L1 and L2 norms.

    The paper has a weight for each column of each matrix, and takes cosines and norms matrix by matrix. A recipe has
    one for each rule: its vectors run over the rules, and nothing finer can be found.
    """
    vectors = list(weights_RE.T)
    cosines = [_cosine(one, other) for one, other in itertools.combinations(vectors, 2)]
    sizes = sum((vector.abs().sum() + torch.linalg.vector_norm(vector) for vector in vectors), weights_RE.new_zeros(()))
    similarity = torch.stack(cosines).mean() if cosines else weights_RE.new_zeros(())
    return SIMILARITY_WEIGHT * similarity + NORM_WEIGHT * sizes


def _cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """0 beside a vector of zeros, which has no direction: torch would give it a slope of 1e8 there."""
    return torch.cosine_similarity(one, other, dim=0) if bool(one.any() and other.any()) else one.new_zeros(())
