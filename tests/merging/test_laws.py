"""Laws of the algebra, on tensors."""

import random

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from evomerge.recipe.parts import Parts
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import draws_for, merged, random_pipe

RNGS = st.randoms(use_true_random=False)


def tensors_of(rng: random.Random, num_experts: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    shape = rng.choice([(6, 7), (40,), (1,), ()])
    each = [torch.randn(shape, generator=generator) for _ in range(num_experts + 1)]
    return each[1:], each[0]


class TestLaws:
    """Laws that canonical forms lean on."""

    @given(RNGS)
    def test_linear_merges_whose_weights_sum_to_one_forget_the_origin(self, rng: random.Random) -> None:
        experts, origin = tensors_of(rng, 3)
        first, second = rng.uniform(-1, 1), rng.uniform(-1, 1)
        stages = [{"weigh": [first, second, 1 - first - second]}, {"reduce": "sum"}]
        with_origin = merged(pipe_of(*stages), experts, origin)
        torch.testing.assert_close(with_origin, merged(pipe_of({"origin": "zero"}, *stages), experts, origin))

    @given(RNGS, st.floats(0.1, 4))
    def test_a_scale_commutes_to_the_front(self, rng: random.Random, scale: float) -> None:
        """Degree-1 homogeneity, seen from the base: what the models do, their merge does."""
        pipe = random_pipe(rng, 2)
        assume(all(stage.is_homogeneous for stage in pipe))
        experts, _ = tensors_of(rng, 2)
        larger = merged(pipe, [expert * scale for expert in experts], None)
        expected = merged(pipe, experts, None) * scale
        # singular directions of nearly equal strength turn further than rounding moves entries
        accuracy = 1e-4 if Parts.of(pipe, 2).needs_matrices else 4e-6
        tolerance = accuracy * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(larger, expected, rtol=1e-4, atol=tolerance)

    @given(RNGS, st.sampled_from(["top", "bernoulli"]), st.floats(0.05, 1), st.floats(0.05, 1))
    def test_gates_of_a_kind_are_nested(self, rng: random.Random, gate: str, one: float, other: float) -> None:
        experts, origin = tensors_of(rng, 1)
        first, second, both = ({"gate": gate, "density": d} for d in (one, other, min(one, other)))
        zero = torch.zeros_like(origin)
        assert torch.equal(merged(pipe_of(first, second), experts, zero), merged(pipe_of(both), experts, zero))

    @given(RNGS, st.floats(0.05, 1))
    def test_l1_restores_the_norm_that_gates_took(self, rng: random.Random, density: float) -> None:
        experts, origin = tensors_of(rng, 1)
        stages = [{"gate": rng.choice(["top", "bernoulli"]), "density": density}, {"restore": "l1"}]
        restored = merged(pipe_of(*stages), experts, torch.zeros_like(origin))
        if restored.any():  # a stochastic gate may drop everything
            torch.testing.assert_close(restored.abs().sum(), experts[0].abs().sum())

    def test_inverse_restores_the_expectation(self) -> None:
        ones = [torch.ones(200)]
        stages = pipe_of({"gate": "bernoulli", "density": 0.3}, {"restore": "inverse"})
        means = [merged(stages, ones, None, draws_for(ones, seed)).mean() for seed in range(100)]
        assert abs(float(torch.stack(means).mean()) - 1) < 4 * (0.7 / 0.3 / 20_000) ** 0.5

    def test_inverse_counts_every_kind_of_gate_once(self) -> None:
        ones = [torch.ones(1000)]
        gates = [
            {"gate": "top", "density": 0.8},
            {"gate": "bernoulli", "density": 0.5},
            {"gate": "top", "density": 0.9},
        ]
        kept = merged(pipe_of(*gates), ones, None)
        assert torch.equal(merged(pipe_of(*gates, {"restore": "inverse"}), ones, None), kept / 0.4)

    @given(RNGS)
    def test_identical_experts_give_that_expert_for_every_mean(self, rng: random.Random) -> None:
        (expert,), origin = tensors_of(rng, 1)
        stages = [*rng.choice([[], [{"vote": "sign"}]]), {"weigh": [rng.uniform(0.1, 2) for _ in range(3)]}]
        torch.testing.assert_close(merged(pipe_of(*stages, {"reduce": "mean"}), [expert] * 3, origin), expert)

    @given(RNGS)
    def test_the_order_of_experts_is_irrelevant(self, rng: random.Random) -> None:
        experts, origin = tensors_of(rng, 3)
        pipe = [*rng.choice([[], [{"gate": "bernoulli", "density": 0.6}]]), {"vote": "sign"}, {"reduce": "mean"}]
        turn = rng.sample(range(3), 3)
        draws = draws_for(experts)
        turned = merged(pipe_of(*pipe), [experts[i] for i in turn], origin, [draws[i] for i in turn])
        torch.testing.assert_close(turned, merged(pipe_of(*pipe), experts, origin, draws))
