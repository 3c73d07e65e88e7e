"""Losses and steps, against the formulas of their papers written out plainly."""

import math

import numpy as np
import pytest
import torch

from evomerge.recipe import Blend, ModelRef, Recipe
from evomerge.recipe.stages import Weigh
from evomerge.refinement import coefficients_of, dam, expert_merging, fw_merging
from evomerge.refinement.adam import BoundedAdam
from evomerge.refinement.adamerging import entropy
from evomerge.refinement.fw_merging import FrankWolfe, vertices
from evomerge.refinement.plane import Said
from evomerge.refinement.samples import Sample

ONE = Recipe(
    models={name: ModelRef(path=name) for name in ("base", "a", "b")},
    blends={"mix": Blend(origin="base", experts=("a", "b"), pipe=(Weigh(weigh=(0.2, 0.9)),))},
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2


def chances(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def said(logits_TV: torch.Tensor, hidden_LTH: torch.Tensor | None = None) -> Said:
    return Said(logits_TV, torch.zeros(1, len(logits_TV), 1) if hidden_LTH is None else hidden_LTH)


def test_entropy_of_predictions() -> None:
    logits_TV = drawn(3, 4)
    expected = [-sum(p * math.log(p) for p in chances(row, 1.0)) for row in logits_TV.tolist()]
    assert float(entropy(logits_TV)) == pytest.approx(sum(expected) / 3, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_from_the_teacher(temperature: float) -> None:
    ours, theirs = drawn(3, 4), drawn(3, 4, seed=1)
    rows = zip(ours.tolist(), theirs.tolist(), strict=True)
    pairs = [(chances(own, temperature), chances(wanted, temperature)) for own, wanted in rows]
    expected = sum(sum(q * math.log(q / p) for p, q in zip(*pair, strict=True)) for pair in pairs) / 3
    found = expert_merging.divergence(ours, theirs, temperature)
    assert float(found) == pytest.approx(temperature**2 * expected, rel=1e-5)


def test_expert_merging_adds_a_tenth_of_the_hidden_distance() -> None:
    ours, theirs = (Said(drawn(3, 4, seed=seed), drawn(2, 3, 5, seed=seed + 9)) for seed in (0, 1))
    sample = Sample(torch.zeros(1, 3, dtype=torch.int64), teacher=theirs)
    layers = [(ours.hidden_LTH[layer] - theirs.hidden_LTH[layer]).square().mean() for layer in range(2)]
    expected = expert_merging.divergence(ours.logits_TV, theirs.logits_TV, 1.0) + 0.1 * sum(layers) / 2
    torch.testing.assert_close(expert_merging.loss(ours, sample), expected)


def test_expert_merging_holds_weights_where_they_were() -> None:
    found = expert_merging.penalty(torch.tensor([[0.5, 0.1], [1.0, 1.0]]), torch.tensor([[0.4, 0.3], [1.0, 0.0]]))
    assert float(found) == pytest.approx(0.1 * ((0.1 + 0.2) + (0.0 + 1.0)) / 2)


def test_dam_wants_vectors_of_weights_apart_and_small() -> None:
    one, other = [0.5, 1.0, -0.2], [0.1, 0.4, 0.9]
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = [math.sqrt(sum(a * a for a in vector)) for vector in (one, other)]
    sums = [sum(map(abs, vector)) for vector in (one, other)]
    expected = 0.01 * dot / (lengths[0] * lengths[1]) + 1e-6 * (sum(lengths) + sum(sums))
    weights_RE = torch.tensor([one, other], dtype=torch.float64).T
    assert float(dam.penalty(weights_RE, weights_RE)) == pytest.approx(expected)


def test_dam_leaves_an_expert_that_takes_no_part_its_slope() -> None:
    """A slope of 1e6 from the penalty alone would fill the memory of Adam, and the expert would never take part."""
    weights_RE = torch.tensor([[1.0, 0.0, 0.5], [1.0, 0.0, 0.2]], dtype=torch.float64, requires_grad=True)
    dam.penalty(weights_RE, weights_RE.detach()).backward()  # type: ignore[no-untyped-call]
    assert weights_RE.grad is not None
    assert float(weights_RE.grad.abs().max()) < 0.1
    assert bool(weights_RE.grad[:, 2].any())


@pytest.mark.parametrize(("num_prompt", "first"), [(0, 1), (2, 2), (9, 3)])
def test_labels_are_the_tokens_of_the_answer(num_prompt: int, first: int) -> None:
    logits_TV, tokens = drawn(4, 5), [3, 1, 0, 2]
    expected = [-math.log(chances(logits_TV[t - 1].tolist(), 1.0)[tokens[t]]) for t in range(first, 4)]
    found = fw_merging.loss(said(logits_TV), Sample(torch.tensor([tokens]), num_prompt))
    assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_vertices_go_by_cosines() -> None:
    gradient_RE = np.array([[-1.0, -2.0], [0.5, 0.1], [0.3, -0.1]])
    norms_RE = np.array([[1.0, 4.0], [1.0, 1.0], [1.0, 0.0]])
    assert vertices(gradient_RE, norms_RE).tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_step_of_frank_wolfe_is_a_convex_combination() -> None:
    walk = FrankWolfe(coefficients_of(ONE, "recipe"), np.ones((1, 2)), rate=0.5)
    weights_RE, gradient_RE = np.array([[0.2, 0.9]]), np.array([[-1.0, 0.0]])
    for number in range(3):
        share = 2 / (number + 2) * 0.5
        expected = [(1 - share) * weights_RE[0, 0] + share, (1 - share) * weights_RE[0, 1]]
        weights_RE = walk.step(number, weights_RE, gradient_RE)
        assert weights_RE[0].tolist() == pytest.approx(expected)


def test_adam_is_that_of_torch() -> None:
    weights, ours = torch.tensor([[0.2, 0.9]], dtype=torch.float64), np.array([[0.2, 0.9]])
    theirs = torch.optim.Adam([weights], lr=0.03)
    adam = BoundedAdam(coefficients_of(ONE, "recipe"), np.ones((1, 2)), rate=0.03)
    for number in range(5):
        weights.grad = (weights - 0.5) * (number + 1)
        ours = adam.step(number, ours, weights.grad.numpy())
        theirs.step()
        np.testing.assert_allclose(ours, weights.numpy(), rtol=1e-12)
