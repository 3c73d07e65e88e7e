"""Laws and edges of the stages that act on singular values and vectors."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.checkpoints import Checkpoint
from evomerge.documents import Tree, parse
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge
from evomerge.merging.spectra import Spectrum, polar
from evomerge.merging.stages.subspaces import _filters, off
from evomerge.recipe import Recipe
from evomerge.recipe.stages import parse_stage
from evomerge.testing.matrices import low, randoms
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import merged

MakeRecipe = Callable[..., Recipe]
SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=25, derandomize=True)


def rank_of(matrix: torch.Tensor) -> int:
    return int(torch.linalg.matrix_rank(matrix.double(), rtol=1e-4))


class TestFlatten:
    """Isotropic spectra."""

    @QUICK
    @given(SEEDS, st.integers(1, 9))
    def test_twice_is_once(self, seed: int, rank: int) -> None:
        once = merged(pipe_of({"post": "flatten"}), [low(seed, rank)], None)
        twice = merged(pipe_of({"post": "flatten"}, {"post": "flatten"}), [low(seed, rank)], None)
        torch.testing.assert_close(twice, once, rtol=1e-4, atol=1e-4)

    @QUICK
    @given(SEEDS, st.integers(1, 8), st.floats(0, 1))
    def test_neither_directions_nor_the_nuclear_norm_change(self, seed: int, rank: int, strength: float) -> None:
        """The authors' code would make rank 9 of any rank."""
        matrix = low(seed, rank)
        flat = merged(pipe_of({"post": "flatten", "strength": strength}), [matrix], None)
        assert rank_of(flat) == rank
        torch.testing.assert_close(torch.linalg.matrix_norm(flat, "nuc"), torch.linalg.matrix_norm(matrix, "nuc"))

    def test_strength_goes_from_the_matrix_to_its_flat_form(self) -> None:
        (matrix,) = randoms(0, 1, 6, 5)
        ends = [merged(pipe_of({"post": "flatten", "strength": s}), [matrix], None) for s in (0.0, 0.25, 1.0)]
        assert torch.equal(ends[0], matrix)
        torch.testing.assert_close(ends[1], 0.75 * ends[0] + 0.25 * ends[2], rtol=1e-5, atol=1e-5)

    def test_nothing_stays_nothing(self) -> None:
        assert not merged(pipe_of({"post": "flatten"}), [torch.zeros(3, 4)], None).any()


class TestGates:
    """Leading directions."""

    @QUICK
    @given(SEEDS, st.floats(0.05, 1))
    def test_low_rank_is_the_nearest_matrix_of_its_rank(self, seed: int, density: float) -> None:
        (matrix,) = randoms(seed, 1, 8, 6)
        kept = merged(pipe_of({"gate": "low_rank", "density": density}), [matrix], None)
        rank = max(1, int(density * 6 + 1e-4))
        assert rank_of(kept) == rank
        gone = torch.linalg.svdvals(matrix.double())[rank:].norm()
        assert float((matrix - kept).double().norm()) == pytest.approx(float(gone), rel=1e-5, abs=1e-5)

    @QUICK
    @given(SEEDS, st.floats(0.05, 0.95))
    def test_nuclear_restoration_keeps_the_nuclear_norm(self, seed: int, density: float) -> None:
        (matrix,) = randoms(seed, 1, 8, 6)
        for gate in ("spectral_top", "low_rank", "bernoulli"):
            kept = merged(pipe_of({"gate": gate, "density": density}, {"restore": "nuclear"}), [matrix], None)
            if kept.any():
                norms = [float(torch.linalg.matrix_norm(each, "nuc")) for each in (kept, matrix)]
                assert norms[0] == pytest.approx(norms[1], rel=1e-4)

    @QUICK
    @given(SEEDS)
    def test_zeros_stay_zeros(self, seed: int) -> None:
        """What is left of them by rounding would have a sign, and count in a mean after a vote."""
        shuffle = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
        blocks = [
            polar(block) @ torch.diag(torch.tensor(values)) @ polar(block.T)
            for block, values in zip(randoms(seed, 2, 4, 4), ([8.0, 6, 4, 2], [7.0, 5, 3, 1]), strict=True)
        ]
        matrix = torch.block_diag(*blocks)[shuffle][:, shuffle.flip(0)]
        for gate in ("low_rank", "spectral_top"):
            kept = merged(pipe_of({"gate": gate, "density": 0.6}), [matrix], None)
            assert not kept[matrix == 0].any()

    def test_the_fewest_directions_that_hold_the_share_are_kept(self) -> None:
        result = merged(pipe_of({"gate": "spectral_top", "density": 0.5}), [torch.eye(2)], None)
        assert rank_of(result) == 1

    def test_outliers_end_at_their_limit(self) -> None:
        matrix = torch.tensor([[1.0, -1, 1, -7], [2, 2, 2, 2]])
        kept = merged(pipe_of({"gate": "outlier", "sigmas": 1.0}), [matrix], None)
        torch.testing.assert_close(kept, torch.tensor([[1.0, -1, 1, -(13**0.5)], [2, 2, 2, 2]]))


class TestLens:
    """Coordinates that the experts share."""

    @QUICK
    @given(SEEDS, st.sampled_from(["sum", "mean"]))
    def test_linear_stages_do_not_see_it(self, seed: int, reducer: str) -> None:
        experts = randoms(seed, 3, 5, 7)
        stages: list[Tree] = [{"weigh": [0.3, -0.4, 1.2]}, {"reduce": reducer}]
        through = merged(pipe_of({"lens": "joint_svd"}, *stages), experts, None)
        torch.testing.assert_close(through, merged(pipe_of(*stages), experts, None), rtol=1e-5, atol=1e-5)

    def test_the_merge_stays_in_the_columns_of_the_experts(self) -> None:
        experts = [low(0, 2), low(10, 2)]
        ties: list[Tree] = [{"gate": "top", "density": 0.3}, {"vote": "sign"}, {"reduce": "mean"}]
        assert rank_of(merged(pipe_of({"lens": "joint_svd"}, *ties), experts, None)) <= 4
        assert rank_of(merged(pipe_of(*ties), experts, None)) > 4

    def test_a_gate_over_the_whole_model_is_refused_inside(self) -> None:
        pipe: list[Tree] = [{"lens": "joint_svd"}, {"gate": "top", "density": 0.5, "scope": "model"}]
        tree = {"models": {"a": {"path": "a"}}, "blends": {"b": {"experts": ["a"], "pipe": pipe}}}
        with pytest.raises(ConfigError, match="gate: top spans the model, but inside a lens"):
            parse(Recipe, tree, "r.yaml")


class TestProcrustes:
    """Orthogonalised directions."""

    @QUICK
    @given(SEEDS, st.floats(0.2, 1))
    def test_experts_that_are_orthogonal_already_are_summed(self, seed: int, rank: float) -> None:
        """TSV-M mixes overlapping directions only."""
        (left,), (right,) = randoms(seed, 1, 9, 9), randoms(seed + 1, 1, 8, 8)
        u, v = torch.linalg.qr(left).Q, torch.linalg.qr(right).Q
        values = torch.tensor([3.0, 2, 1.5, 0.5])
        experts = [u[:, part] @ torch.diag(values) @ v[:, part].T for part in (slice(0, 4), slice(4, 8))]
        count = min(4, max(1, int(8 * rank + 1e-4)))
        cut = [u[:, :count] @ torch.diag(values[:count]) @ v[:, :count].T]
        cut.append(u[:, 4 : 4 + count] @ torch.diag(values[:count]) @ v[:, 4 : 4 + count].T)
        joined = merged(pipe_of({"reduce": "procrustes", "rank": rank}), experts, None)
        torch.testing.assert_close(joined, cut[0] + cut[1], rtol=1e-4, atol=1e-4)

    def test_an_expert_without_change_takes_no_directions(self) -> None:
        experts = [*randoms(0, 2, 6, 6), torch.zeros(6, 6)]
        stage = pipe_of({"reduce": "procrustes", "rank": 0.5})
        torch.testing.assert_close(merged(stage, experts, None), merged(stage, experts[:2], None))
        silenced = merged((parse_stage({"weigh": [1, 0]}), *stage), experts[:2], None)
        torch.testing.assert_close(silenced, merged(stage, experts[:1], None))

    def test_ranks_follow_sparsity(self) -> None:
        """A change in one entry of 64 has a quarter of 8 · 0.5 directions at most: one."""
        (dense,) = randoms(0, 1, 8, 8)
        for delta, adapt, rank in ((dense, "sparsity", 4), (torch.eye(8), "sparsity", 1), (torch.eye(8), "none", 4)):
            stage = pipe_of({"reduce": "procrustes", "rank": 0.5, "adapt": adapt})
            assert rank_of(merged(stage, [delta], None)) == rank


class TestCommonSpace:
    """Common directions and own ones."""

    @QUICK
    @given(SEEDS, st.integers(1, 3))
    def test_what_the_common_part_holds_leaves_no_directions(self, seed: int, rank: int) -> None:
        """The rest is rounding, which would be orthogonalised like anything else."""
        expert = low(seed, rank, 7, 6)
        found = merged(pipe_of({"reduce": "common_space", "common": 0.5}), [expert], None)
        torch.testing.assert_close(found, expert, rtol=1e-4, atol=1e-4)


class TestFlow:
    """The least disturbance."""

    @QUICK
    @given(SEEDS, st.integers(2, 4))
    def test_it_solves_the_normal_equations(self, seed: int, count: int) -> None:
        """The gradient Σ (M − τ) τᵀτ / ‖τ‖² vanishes, in the directions that experts have and others alike."""
        experts = [low(seed + 2 * index, 3, 8, 7) for index in range(count)]
        found = merged(pipe_of({"reduce": "spectral_flow"}), experts, None).double()
        exact = [expert.double() for expert in experts]
        gradient = sum((found - task) @ task.T @ task / task.square().sum() for task in exact)
        assert float(torch.as_tensor(gradient).norm()) < 1e-4 * float(found.norm())

    def test_a_rounded_share_keeps_as_many_eigenvectors_as_it_means(self) -> None:
        flow = parse_stage({"reduce": "spectral_flow", "keep": 0.666666667})
        passed_I, _ = _filters(flow, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 0.0)
        assert passed_I.tolist() == [0.0, 1.0, 1.0]
        one = parse_stage({"reduce": "spectral_flow", "keep": 1e-6})
        assert _filters(one, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), 0.0)[0].tolist() == [0.0, 0.0, 1.0]

    def test_what_no_expert_has_stays_at_the_start(self) -> None:
        experts = [low(0, 2), low(5, 2)]
        basis = torch.linalg.svd(torch.cat(experts))[2][4:]
        found = merged(pipe_of({"reduce": "spectral_flow"}), experts, None)
        assert float((found @ basis.T).abs().max()) < 1e-4

    def test_it_goes_from_the_start_to_the_optimum(self) -> None:
        experts = randoms(0, 3, 5, 6)
        losses = []
        for t in (0.0, 0.5, 5.0, 500.0, None):
            found = merged(pipe_of({"reduce": "spectral_flow", "t": t}), experts, None)
            losses.append(sum(float(((found - e) @ e.T).square().sum() / e.square().sum()) for e in experts))
        assert losses == sorted(losses, reverse=True)
        start = merged(pipe_of({"reduce": "spectral_flow", "t": 0.0}), experts, None)
        torch.testing.assert_close(start, experts[0] + experts[1] + experts[2])


class TestFold:
    """One after the other."""

    def test_experts_that_share_no_direction_are_summed(self) -> None:
        first, second = torch.zeros(4, 4), torch.zeros(4, 4)
        first[0, 0], first[1, 1], second[2, 3], second[3, 2] = 2, 1, 1, 3
        for alpha in (0.0, 0.5, 1.0):
            folded = merged(pipe_of({"reduce": "fold", "alpha": alpha}), [first, second], None)
            torch.testing.assert_close(folded, first + second)

    def test_alpha_one_closes_all_directions(self) -> None:
        """The authors' argmax finds no index past a share of one, and closes none."""
        first, second = randoms(0, 2, 5, 5)
        folded = merged(pipe_of({"reduce": "fold", "alpha": 1.0}), [first, second], None)
        torch.testing.assert_close(folded, first, rtol=1e-4, atol=1e-4)

    def test_directions_are_closed_up_to_the_share_itself(self) -> None:
        taken = Spectrum(torch.eye(4), torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.eye(4))
        left = [off(torch.ones(4, 4), taken, alpha).count_nonzero() for alpha in (0.49, 0.5, 1.0)]
        assert left == [16 - 4, 16 - 4 - 2, 0]  # the diagonal is gone, and of two closed directions their block

    def test_the_order_counts(self) -> None:
        experts = randoms(0, 2, 5, 5)
        stage = pipe_of({"reduce": "fold"})
        assert not torch.allclose(merged(stage, experts, None), merged(stage, experts[::-1], None), atol=0.1)


class TestConsensus:
    """A common part and remainders."""

    @QUICK
    @given(SEEDS, st.floats(0, 0.5))
    def test_remainders_by_their_mean_at_gain_one_are_the_plain_mean(self, seed: int, mu: float) -> None:
        experts = randoms(seed, 3, 5, 6)
        found = merged(pipe_of({"reduce": "consensus", "combine": "mean", "mu": mu}), experts, None)
        torch.testing.assert_close(found, sum(experts) / 3, rtol=1e-5, atol=1e-5)

    def test_the_gain_is_that_of_the_remainders(self) -> None:
        experts = randoms(0, 3, 5, 6)
        none, one, two = (
            merged(pipe_of({"reduce": "consensus", "combine": "mean", "gain": gain}), experts, None)
            for gain in (0.0, 1.0, 2.0)
        )
        torch.testing.assert_close(two - one, one - none, rtol=1e-4, atol=1e-5)
        assert float((one - none).abs().max()) > 0.1

    @QUICK
    @given(SEEDS)
    def test_the_origin_does_not_matter(self, seed: int) -> None:
        *experts, origin = randoms(seed, 4, 5, 6)
        stage = pipe_of({"reduce": "consensus", "combine": "mean", "gain": 1.7})
        torch.testing.assert_close(merged(stage, experts, origin), merged(stage, experts, None), rtol=1e-4, atol=1e-4)


class TestCalibrate:
    """Singular values divided by how often they were counted."""

    def test_one_expert_three_times_is_that_expert(self) -> None:
        (expert,) = randoms(0, 1, 5, 6)
        found = merged(pipe_of({"reduce": "sum"}, {"post": "calibrate"}), [expert] * 3, None)
        torch.testing.assert_close(found, expert, rtol=1e-5, atol=1e-5)

    def test_directions_of_one_expert_alone_are_left(self) -> None:
        first, second = torch.zeros(4, 4), torch.zeros(4, 4)
        first[0, 0], second[1, 1] = 2, 3
        found = merged(pipe_of({"reduce": "sum"}, {"post": "calibrate"}), [first, second], None)
        torch.testing.assert_close(found, first + second)


class TestModel:
    """Quantities of whole models."""

    LAYER = "model.layers.0.mlp.up_proj.weight"

    def tensors(self, zoo: Path, name: str) -> dict[str, torch.Tensor]:
        model = Checkpoint(zoo / name)
        return {tensor: model.tensor(tensor) for tensor in model.names}

    def test_norms_match_over_all_tensors(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        merge = Merge(recipe_of({"use": "opcm"}), Library())
        base, math, ja = (self.tensors(zoo, name) for name in ("base", "math", "ja"))

        def norm(model: dict[str, torch.Tensor]) -> float:
            return float(sum((model[name] - base[name]).double().square().sum() for name in base)) ** 0.5

        found = {name: merge.tensor(name) for name in merge.names}
        assert norm(found) == pytest.approx((norm(math) + norm(ja)) / 2, rel=1e-5)
        ratio = (found["model.norm.weight"] - base["model.norm.weight"]) / (
            math["model.norm.weight"] + ja["model.norm.weight"] - 2 * base["model.norm.weight"]
        )
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=1e-4)

    def test_a_second_match_after_another_post_has_a_factor_of_its_own(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        match, flat = {"post": "norm_match"}, {"post": "flatten"}
        pipe = [{"reduce": "fold"}, match, flat, {"post": "scale", "by": 3}, match]
        merge = Merge(recipe_of({"pipe": pipe}), Library())
        base, math, ja = (self.tensors(zoo, name) for name in ("base", "math", "ja"))
        norms = [
            float(sum((model[name] - base[name]).double().square().sum() for name in base)) ** 0.5
            for model in (math, ja, {name: merge.tensor(name) for name in merge.names})
        ]
        assert norms[2] == pytest.approx((norms[0] + norms[1]) / 2, rel=1e-5)

    def test_doge_trims_over_all_matrices(self, recipe_of: MakeRecipe, zoo: Path) -> None:
        merge = Merge(recipe_of({"use": "doge_ta", "steps": 0, "weights": [1, 0]}), Library())
        base, math = (self.tensors(zoo, name) for name in ("base", "math"))
        matrices = [name for name in base if "proj" in name]
        kept = {name: merge.tensor(name) != base[name] for name in base}
        sizes = torch.cat([(math[name] - base[name]).abs().flatten() for name in matrices])
        number = int(0.3 * len(sizes))
        assert sum(int(kept[name].count_nonzero()) for name in matrices) == pytest.approx(number, abs=3)
        shares = {float(kept[name].float().mean()) for name in matrices}
        assert len(shares) > 3  # tensor by tensor they would all be alike
        assert not any(kept[name].any() for name in base if name not in matrices)

    @pytest.mark.parametrize("lens", [[], [{"lens": "joint_svd"}]])
    def test_a_vote_over_the_model_hears_matrices_and_others(
        self, recipe_of: MakeRecipe, lens: list[dict[str, Tree]]
    ) -> None:
        """Where no sum is zero, what zeros elect does not matter."""
        gate, mean = {"gate": "low_rank", "density": 0.5}, {"reduce": "mean"}
        votes = ({"vote": "sign", "zero": zero} for zero in ("plus", "majority"))
        plus, majority = (Merge(recipe_of({"pipe": [*lens, gate, vote, mean]}), Library()) for vote in votes)
        assert all(torch.equal(plus.rounded(name), majority.rounded(name)) for name in plus.names)

    def test_embeddings_and_heads_are_no_matrices(self, recipe_of: MakeRecipe) -> None:
        iso, plain = (Merge(recipe_of({"use": use}), Library()) for use in ("iso_c", "linear"))
        for name in ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"):
            torch.testing.assert_close(iso.tensor(name), plain.tensor(name))
        assert not torch.allclose(iso.tensor(self.LAYER), plain.tensor(self.LAYER), atol=0.1)
