"""Singular value decompositions: what is cut off, and what is remembered."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.errors import CandidateFailed
from evomerge.merging import Library, Merge
from evomerge.merging.facts import Facts
from evomerge.merging.pipe import run_pipe
from evomerge.merging.site import lone_site
from evomerge.merging.spectra import Spectrum, count_of, decompose, polar
from evomerge.recipe import Recipe
from evomerge.recipe.parts import Parts
from evomerge.testing.matrices import low, randoms
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import draws_for, merged

MakeRecipe = Callable[..., Recipe]
SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=25, derandomize=True)


class TestDecomposition:
    """Directions without strength are no directions."""

    @QUICK
    @given(SEEDS, st.integers(0, 5))
    def test_the_numerical_rank_alone_stays(self, seed: int, rank: int) -> None:
        matrix = low(seed, rank)
        parts = decompose(matrix)
        assert len(parts.values_R) == rank
        torch.testing.assert_close(parts.matrix, matrix, rtol=1e-5, atol=1e-5)

    def test_a_polar_factor_fills_nothing(self) -> None:
        matrix = low(3, 2)
        values = torch.linalg.svdvals(polar(matrix))
        torch.testing.assert_close(values[:2], torch.ones(2))
        assert float(values[2:].max()) < 1e-5

    @pytest.mark.parametrize("odd", [float("nan"), float("inf")])
    def test_what_is_not_finite_fails_the_candidate(self, odd: float) -> None:
        with pytest.raises(CandidateFailed, match=r"^a task vector has no singular values"):
            merged(pipe_of({"post": "flatten"}), [torch.full((3, 3), odd)], None)

    @pytest.mark.parametrize(("count", "size"), [(3, 9), (49, 49), (7, 100_002)])
    def test_a_share_rounded_to_nine_digits_counts_as_it_was_meant(self, count: int, size: int) -> None:
        assert count_of(float(f"{1 / count:.9g}"), size) == size // count


class TestMemory:
    """Decompositions of task vectors are found once for all recipes."""

    RULES = ({"use": "star", "density": 0.3}, {"use": "tsv_m", "weights": [0.7, -0.4]}, {"use": "optmerge"})

    def test_what_is_remembered_gives_the_same_bytes(self, recipe_of: MakeRecipe) -> None:
        warm = Library()
        for rule in (*self.RULES, {"use": "star"}, {"use": "opcm"}, {"use": "doge_ta", "steps": 3}):
            for _ in range(3):
                remembered, fresh = Merge(recipe_of(rule), warm), Merge(recipe_of(rule), Library())
                assert all(torch.equal(remembered.rounded(name), fresh.rounded(name)) for name in fresh.names)

    def test_from_the_third_time_on_nothing_is_decomposed(
        self, recipe_of: MakeRecipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        library, asked = Library(), []
        svd = torch.linalg.svd
        monkeypatch.setattr(torch.linalg, "svd", lambda *a, **k: asked.append(a) or svd(*a, **k))
        for density in (0.2, 0.5, 0.7):
            asked.clear()
            merge = Merge(recipe_of({"use": "star", "density": density}), library)
            for name in merge.names:
                merge.tensor(name)
        assert not asked

    def test_a_stack_of_matrices_is_remembered_matrix_by_matrix(self) -> None:
        experts = randoms(0, 2, 3, 4, 5)
        pipe = pipe_of({"gate": "low_rank", "density": 0.5}, {"reduce": "mean"})
        site = dataclasses.replace(lone_site(draws_for(experts), experts), facts=Facts(), keys=["a", "b"])
        results = [run_pipe(Parts.of(pipe, 2), experts, None, site) for _ in range(3)]
        assert all(torch.equal(result, merged(pipe, experts, None)) for result in results)

    def test_there_is_an_end_to_it(self) -> None:
        calls, facts = [], Facts(room_bytes=100)
        value = Spectrum(torch.zeros(3, 2), torch.zeros(2), torch.zeros(2, 3))
        assert value.num_bytes == 56
        for key in ["a", "b"] * 3:
            facts.again(key, lambda key=key: calls.append(key) or value)  # type: ignore[misc]
        assert calls == ["a", "b", "a", "b", "b"]

    def test_whole_weights_are_not_taken_for_task_vectors(self, recipe_of: MakeRecipe) -> None:
        """Facts of one and the other differ, although models and blends are the same."""
        library = Library()
        for stages in ([{"origin": "zero"}], []):
            for stage in ({"gate": "low_rank", "density": 0.5}, {"reduce": "sphere", "t": 0.3}):
                rule = {"pipe": [*stages, stage]}
                for _ in range(3):
                    merge, fresh = Merge(recipe_of(rule), library), Merge(recipe_of(rule), Library())
                    assert all(torch.equal(merge.rounded(name), fresh.rounded(name)) for name in fresh.names)
