"""The stages one by one, at their edges."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.draws import Draw
from evomerge.merging.stages import gates, reducers, restore, votes
from evomerge.merging.stages.reducers_bands import inner_share
from evomerge.merging.stages.reducers_spherical import sphere
from evomerge.merging.stages.stack import Stack
from evomerge.merging.stages.weighers_divergence import importance
from evomerge.recipe.stages import DivergenceWeigher, Swap, parse_stage
from evomerge.testing.stages import merged

LISTS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=30)
DENSITIES = st.floats(0.01, 1)


class TestTop:
    """The largest entries stay."""

    @given(LISTS, DENSITIES)
    def test_exactly_so_many_stay(self, values: list[float], density: float) -> None:
        delta = torch.tensor(values)
        kept = gates.keep_largest(delta, density, first=True)
        number = max(1, int(density * len(values)))
        assert int(kept.count_nonzero()) == min(number, int(delta.count_nonzero()))
        assert torch.equal(kept[kept != 0], delta[kept != 0])
        gone = delta[kept == 0].abs().max() if (kept == 0).any() else torch.tensor(0.0)
        assert not kept.any() or gone <= kept[kept != 0].abs().min()

    @given(LISTS, DENSITIES, DENSITIES)
    def test_masks_are_nested(self, values: list[float], one: float, other: float) -> None:
        delta = torch.tensor(values)
        small, large = (gates.keep_largest(delta, density, first=True) for density in sorted((one, other)))
        assert bool(((small == 0) | (small == large)).all())

    def test_of_equals_the_first_stay(self) -> None:
        assert gates.keep_largest(torch.tensor([1.0, -1, 2, 1, -1]), 0.6, first=True).tolist() == [1, -1, 2, 0, 0]
        assert gates.keep_largest(torch.ones(2, 2), 0.5, first=True).tolist() == [[1, 1], [0, 0]]

    @pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (1, 1)])
    def test_tiny_tensors_stay_whole(self, shape: tuple[int, ...]) -> None:
        delta = torch.ones(shape)
        assert torch.equal(gates.keep_largest(delta, 0.01), delta)

    def test_at_least_one_stays(self) -> None:
        assert gates.keep_largest(torch.tensor([1.0, 3.0, 2.0]), 0.01).tolist() == [0, 3, 0]

    def test_a_transposed_tensor_is_taken_in_its_own_order(self) -> None:
        delta = torch.tensor([[1.0, 1.0], [1.0, 1.0]]).T
        assert gates.keep_largest(delta, 0.75, first=True).tolist() == [[1, 1], [1, 0]]


class TestBernoulli:
    """Entries stay by chance."""

    DRAW = Draw(0, "expert", "tensor")

    @given(DENSITIES, DENSITIES)
    def test_masks_are_nested(self, one: float, other: float) -> None:
        small, large = (gates.drop(torch.ones(200), density, self.DRAW) for density in sorted((one, other)))
        assert bool((small <= large).all())

    def test_the_kept_share_is_the_density(self) -> None:
        for density in (0.1, 0.5, 0.9):
            share = float(gates.drop(torch.ones(40_000), density, self.DRAW).mean())
            assert share == pytest.approx(density, abs=4 * math.sqrt(density * (1 - density) / 40_000))

    def test_density_one_keeps_all_without_drawing(self) -> None:
        delta = torch.ones(3)
        assert gates.drop(delta, 1.0, self.DRAW) is delta


class TestRestore:
    """What is given back."""

    def test_what_is_all_gone_stays_gone(self) -> None:
        assert restore.l1_factor(torch.zeros(3), torch.ones(3)) == 1

    def test_l1_and_inverse(self) -> None:
        gated, delta = torch.tensor([2.0, 0.0]), torch.tensor([2.0, -1.0])
        assert restore.l1_factor(gated, delta) == 1.5
        stack = Stack.of([delta]).gated(parse_stage({"gate": "top", "density": 0.5}), [gated], [0.5])
        assert restore.inverse(gated, stack, 0).tolist() == [4, 0]


class TestVote:
    """Which experts may speak."""

    def test_a_tie_elects_plus_and_zero_agrees_with_neither(self) -> None:
        deltas = [torch.tensor([1.0, -1.0, 0.0, 2.0]), torch.tensor([-1.0, -1.0, 0.0, -3.0])]
        sign = votes.elected_sign(deltas)
        assert sign.tolist() == [1, -1, 1, -1]
        assert [mask.tolist() for mask in votes.agreeing(deltas, sign)] == [
            [1, 1, 0, 0],
            [0, 1, 0, 1],
        ]

    def test_weights_count_in_a_weighted_tally_only(self) -> None:
        experts = [torch.tensor([1.0]), torch.tensor([-2.0])]
        weigh, total = parse_stage({"weigh": [3, 1]}), parse_stage({"reduce": "sum"})
        outcomes = {
            tally: float(merged([parse_stage({"vote": "sign", "tally": tally}), weigh, total], experts, None))
            for tally in ("weighted", "plain")
        }
        assert outcomes == {"weighted": 3, "plain": -2}

    def test_an_even_vote_elects_plus_or_the_majority_of_the_model(self) -> None:
        experts = [torch.tensor([1.0, -3.0, -3.0, 2.0]), torch.tensor([-1.0, -1.0, -1.0, -2.0])]
        outcomes = {
            zero: merged([parse_stage({"vote": "sign", "zero": zero})], experts, None).tolist()
            for zero in ("plus", "majority")
        }
        assert outcomes == {"plus": [1, -4, -4, 2], "majority": [-1, -4, -4, -2]}

    def test_a_count_of_signs_is_not_swayed_by_size(self) -> None:
        experts = [torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([-5.0])]
        outcomes = [
            float(merged([parse_stage({"vote": "sign", "tally": tally})], experts, None))
            for tally in ("plain", "count")
        ]
        assert outcomes == [-5, 2]

    def test_entries_that_one_expert_claims_are_its_own(self) -> None:
        experts = [torch.tensor([2.0, 1.0]), torch.tensor([0.5, 1.0])]
        assert merged([parse_stage({"vote": "tall", "threshold": 0.4})], experts, None).tolist() == [0, 2]
        alone = parse_stage({"vote": "tall", "threshold": 0.4, "decoder": 1})
        assert merged([alone], experts, None).tolist() == [0, 2]

    def test_a_claim_is_more_than_its_share_of_what_the_others_say(self) -> None:
        pipe = (parse_stage({"vote": "tall", "threshold": 0.5, "at_least": 1}),)
        experts = [torch.tensor([0.5, 0.6]), torch.tensor([1.0, 1.0])]
        assert merged(pipe, experts, None).tolist() == pytest.approx([1.5, 1.6])
        alone = (parse_stage({"vote": "tall", "threshold": 0.5, "decoder": 0}),)
        assert merged(alone, experts, None).tolist() == pytest.approx([0.0, 1.6])

    def test_a_model_that_elects_both_signs_alike_elects_plus(self) -> None:
        pipe = (parse_stage({"vote": "sign", "tally": "plain", "zero": "majority"}), parse_stage({"reduce": "mean"}))
        experts = [torch.tensor([1.0, -1.0, 2.0]), torch.tensor([1.0, -1.0, -2.0])]
        assert merged(pipe, experts, None).tolist() == [1.0, -1.0, 2.0]


class TestLargest:
    """One expert at each entry."""

    def test_of_equals_the_last_is_taken(self) -> None:
        experts = [torch.tensor([1.0, -3.0]), torch.tensor([-1.0, 2.0])]
        assert merged((parse_stage({"reduce": "absmax"}),), experts, None).tolist() == [-1.0, -3.0]


class TestKarcher:
    """The mean direction."""

    def test_experts_that_are_nearly_opposite_have_one_too(self) -> None:
        angle = math.pi / 2 - 0.002
        experts = [torch.tensor([math.cos(angle), side * math.sin(angle)]) for side in (1, -1)]
        found = merged((parse_stage({"weigh": [0.5, 0.5]}), parse_stage({"reduce": "karcher"})), experts, None)
        assert found.tolist() == pytest.approx([1.0, 0.0], abs=1e-4)


class TestSwap:
    """Whose layer it is."""

    def test_so_many_layers_are_outer_ones_and_so_many_between(self) -> None:
        swap = Swap(reduce="swap", bottom=2, top=1, transition=1)
        assert [inner_share(swap, layer, 7) for layer in (None, *range(7))] == [0, 0, 0, 0.5, 1, 1, 0.5, 0]


class TestStock:
    """How far experts agree."""

    def test_opposite_experts_move_nothing(self) -> None:
        pipe = (parse_stage({"reduce": "mean"}), parse_stage({"post": "stock", "cosine": "measured"}))
        assert merged(pipe, [torch.tensor([1.0, 2.0]), torch.tensor([-2.0, -4.0])], None).tolist() == [0.0, 0.0]


class TestDivergence:
    """Columns that moved."""

    def test_what_is_at_the_mean_of_its_expert_is_not_calibrated(self) -> None:
        weigh = DivergenceWeigher(weigh="divergence", calibration=9.0)
        factors = importance(torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]), weigh)
        assert factors.tolist() == [[0.5, 0.5, 9.0], [0.5, 0.5, 9.0]]


class TestRanks:
    """Gates that go by rank, at their edges."""

    @given(LISTS, DENSITIES, st.floats(0, 0.9))
    def test_a_band_keeps_so_many_and_at_least_one(self, values: list[float], density: float, gamma: float) -> None:
        gate = parse_stage({"gate": "band", "density": density, "gamma": gamma})
        delta = torch.tensor([value or 1.0 for value in values])
        kept = merged([gate], [delta], None)
        assert int(kept.count_nonzero()) == (max(1, int(density * len(values))) if density < 1 else len(values))

    def test_equals_are_ranked_by_place(self) -> None:
        delta = torch.tensor([1.0, 2.0, 2.0, 2.0, 3.0])
        band = parse_stage({"gate": "band", "density": 0.4, "gamma": 0.4})
        assert merged([band], [delta], None).tolist() == [0, 2, 2, 0, 0]

    @pytest.mark.parametrize("shape", [(), (1,), (3, 1), (0,), (0, 2), (2, 0)])
    @pytest.mark.parametrize("name", ["rank_bernoulli", "band", "block", "variance", "clamp"])
    def test_tiny_tensors_pass(self, name: str, shape: tuple[int, ...]) -> None:
        more = {"n": 1, "m": 4} if name == "block" else {} if name == "clamp" else {"density": 0.5}
        result = merged([parse_stage({"gate": name} | more)], [torch.ones(shape), -torch.ones(shape)], None)
        assert result.shape == shape
        assert bool(result.isfinite().all())

    @given(DENSITIES, DENSITIES)
    def test_masks_by_rank_are_nested_in_density(self, one: float, other: float) -> None:
        delta = torch.randn(4, 25, generator=torch.Generator().manual_seed(0))
        small, large = (
            merged([parse_stage({"gate": "rank_bernoulli", "density": d, "epsilon": 0.3})], [delta], None) != 0
            for d in sorted((one, other))
        )
        assert bool((small <= large).all())

    def test_large_entries_are_kept_rather(self) -> None:
        gate = parse_stage({"gate": "rank_bernoulli", "density": 0.5, "epsilon": 0.4})
        delta = torch.arange(1.0, 20_001.0)
        kept = merged([gate], [delta], None) != 0
        assert float(kept[:2000].float().mean()) == pytest.approx(0.14, abs=0.05)
        assert float(kept[-2000:].float().mean()) == pytest.approx(0.86, abs=0.05)
        assert float(kept.float().mean()) == pytest.approx(0.5, abs=0.02)

    def test_epsilon_is_cut_to_what_the_density_leaves(self) -> None:
        delta = torch.arange(1.0, 20_001.0)
        for density in (0.1, 0.9):
            wide, cut = (
                merged([parse_stage({"gate": "rank_bernoulli", "density": density, "epsilon": e})], [delta], None)
                for e in (0.7, 0.1)
            )
            assert torch.equal(wide, cut)

    def test_no_entry_has_two_owners(self) -> None:
        generator = torch.Generator().manual_seed(0)
        experts = [torch.randn(5, 8, generator=generator) for _ in range(3)]
        gate = parse_stage({"gate": "block", "n": 1, "m": 4, "owner": "exclusive"})
        owned = [merged([gate, parse_stage({"reduce": "pick", "expert": k})], experts, None) != 0 for k in range(3)]
        assert all(int(mask.sum()) == 10 for mask in owned)
        assert int(torch.stack(owned).sum(dim=0).max()) == 1


class TestMean:
    """Division by the weights that speak."""

    def test_where_nobody_speaks_the_base_stays(self) -> None:
        total, masks = torch.tensor([0.0, 2.0]), [torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])]
        assert reducers.divide_by_share(total, (0.5, 0.5), masks).tolist() == [0, 2]

    def test_where_weights_cancel_the_sum_stays(self) -> None:
        total, both = torch.tensor([3.0, 3.0]), torch.tensor([1.0, 0.0])
        assert reducers.divide_by_share(total, (0.1 + 0.2, -0.3), [torch.tensor([1.0, 1.0]), both]).tolist() == [
            3,
            10,
        ]
        assert reducers.divide_by_share(total, (1.0, -1.0), []).tolist() == [3, 3]

    def test_weights_that_nearly_cancel_are_weights(self) -> None:
        pipe = (parse_stage({"weigh": [1.0, -0.999]}), parse_stage({"reduce": "mean"}))
        assert float(merged(pipe, [torch.tensor([1.0]), torch.tensor([1.0])], None)) == pytest.approx(1.0, rel=1e-3)

    def test_small_weights_are_weights(self) -> None:
        total, mask = torch.tensor([3e-12]), torch.tensor([1.0])
        assert float(reducers.divide_by_share(total, (1e-12,), [mask])) == pytest.approx(3)
        assert float(reducers.divide_by_share(total, (1e-12,), [])) == pytest.approx(3)


class TestSphere:
    """Spherical interpolation where directions fail."""

    @pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
    def test_parallel_opposite_and_zero_are_interpolated_linearly(self, t: float) -> None:
        one = torch.tensor([1.0, 2.0])
        for other in (3 * one, -2 * one, torch.zeros(2)):
            torch.testing.assert_close(sphere(one, other, t), (1 - t) * one + t * other)
            torch.testing.assert_close(sphere(other, one, 1 - t), (1 - t) * one + t * other)

    def test_the_ends_are_the_experts_bit_by_bit(self) -> None:
        one, other = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
        assert torch.equal(sphere(one, other, 0), one)
        assert torch.equal(sphere(one, other, 1), other)

    @given(st.floats(0.001, 0.05))
    def test_there_is_no_jump_at_the_switch_to_linear(self, size: float) -> None:
        one = torch.tensor([1.0, 0.0])
        other = torch.tensor([math.cos(size * 2e-3), math.sin(size * 2e-3)])
        torch.testing.assert_close(sphere(one, other, 0.3), 0.7 * one + 0.3 * other, rtol=0, atol=1e-6)

    @given(st.floats(0, 1), st.floats(0.01, 3.13))
    def test_unit_vectors_stay_on_the_sphere(self, t: float, angle: float) -> None:
        one, other = torch.tensor([1.0, 0.0]), torch.tensor([math.cos(angle), math.sin(angle)])
        moved = sphere(one, other, t)
        assert float(moved.norm()) == pytest.approx(1, abs=1e-3)
        assert math.atan2(float(moved[1]), float(moved[0])) == pytest.approx(t * angle, abs=1e-3)

    def test_the_angle_between_close_models_survives(self) -> None:
        """A float32 sum over many entries would make it zero or not a number."""
        one = torch.full((100_000,), 0.1)
        other = one + 1e-5 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
        halfway = sphere(one, other, 0.5)
        torch.testing.assert_close(halfway, (one + other) / 2, rtol=1e-6, atol=0)

    def test_a_vote_is_heard(self) -> None:
        experts = [torch.tensor([1.0, 5.0]), torch.tensor([2.0, -1.0])]
        sphere = parse_stage({"reduce": "sphere", "t": 0.5})
        silenced = [torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0])]
        assert torch.equal(
            merged([parse_stage({"vote": "sign"}), sphere], experts, None), merged([sphere], silenced, None)
        )


class TestWeightedSum:
    """The one loop that most merges are."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    def test_it_is_computed_in_float32(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)
        tensors = [torch.randn(50, generator=generator).to(dtype) for _ in range(3)]
        exact = sum(weight * tensor.double() for weight, tensor in zip((0.3, 0.3, 0.4), tensors, strict=True))
        result = reducers.weighted_sum(tensors, (0.3, 0.3, 0.4))
        assert result.dtype == torch.float32
        torch.testing.assert_close(result.double(), exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("stage", "rest"),
    [
        ({"weigh": "overlap", "epsilon": 0.5, "limit": 5.0}, {}),
        ({"weigh": "norm"}, {}),
        ({"weigh": "balance", "ratio": 0.5}, {}),
        ({"restore": "std"}, {"weigh": [0.3, 0.5]}),
    ],
)
def test_a_model_of_one_tensor_is_that_tensor(stage: dict[str, Any], rest: dict[str, Any]) -> None:
    experts = list(torch.randn(2, 40, generator=torch.Generator().manual_seed(0)))
    scopes = [
        [{"gate": "top", "density": 0.5}, stage | {"scope": scope}, *([rest] if rest else [])]
        for scope in ("tensor", "model")
    ]
    one, other = (merged(tuple(map(parse_stage, stages)), experts, None) for stages in scopes)
    torch.testing.assert_close(one, other)
