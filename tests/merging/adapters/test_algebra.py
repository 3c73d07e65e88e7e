"""Sums in factor form equal dense sums, and no matrix of the size of a weight is ever built."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.algebra import concatenated, inner, norm, truncated

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(1, 12)
WEIGHTS = st.floats(-2, 2)


def random_factors(rows: int, columns: int, rank: int, seed: int, scale: float = 1.0, flip: bool = False) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    b, a = (torch.randn(shape, generator=generator) for shape in ((rows, rank), (rank, columns)))
    return Factors(b, a, scale, flip)


@st.composite
def sums(draw: st.DrawFn) -> tuple[list[Factors], list[float]]:
    rows, columns, flip = draw(SIZES), draw(SIZES), draw(st.booleans())
    parts = draw(st.lists(st.tuples(SIZES, SEEDS, st.floats(-3, 3), WEIGHTS), min_size=1, max_size=4))
    terms = [random_factors(rows, columns, rank, seed, scale, flip) for rank, seed, scale, _ in parts]
    return terms, [weight for *_, weight in parts]


def dense_sum(terms: list[Factors], weights: list[float]) -> torch.Tensor:
    total = torch.zeros(terms[0].shape, dtype=torch.float64)
    for term, weight in zip(terms, weights, strict=True):
        product = term.scale * (term.b_OR.double() @ term.a_RI.double())
        total += weight * (product.T if term.is_transposed else product)
    return total


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Within 1e-5 of the largest entry, or of 1."""
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5 * max(1.0, float(wanted.abs().max())))


class TestConcatenated:
    """[c₁B₁ … cₙBₙ]·[A₁; …; Aₙ] = Σ cₖBₖAₖ."""

    @given(sums())
    def test_equals_the_dense_sum(self, case: tuple[list[Factors], list[float]]) -> None:
        merged = concatenated(*case)
        assert merged.rank == sum(term.rank for term in case[0])
        assert merged.scale == 1.0
        assert_close(merged.dense(), dense_sum(*case))

    def test_is_not_the_product_of_averages(self) -> None:
        """The trap: mean(B) · mean(A) has cross terms."""
        terms = [random_factors(6, 5, 3, seed) for seed in (1, 2)]
        apart = (terms[0].b_OR + terms[1].b_OR) / 2 @ ((terms[0].a_RI + terms[1].a_RI) / 2)
        assert float((apart - concatenated(terms, [0.5, 0.5]).dense()).abs().max()) > 0.1

    def test_half_precision_is_summed_in_single(self) -> None:
        term = random_factors(8, 8, 2, 0)
        half = Factors(term.b_OR.bfloat16(), term.a_RI.bfloat16())
        assert concatenated([half, half], [1.0, 0.25]).b_OR.dtype == torch.float32
        assert_close(concatenated([half, half], [1.0, 0.25]).dense(), dense_sum([half, half], [1.0, 0.25]))


class TestTruncated:
    """The best change of lower rank."""

    @given(sums(), st.integers(1, 12))
    def test_equals_the_dense_truncation(self, case: tuple[list[Factors], list[float]], rank: int) -> None:
        """Compared by its error: singular vectors of equal values may differ, the error cannot."""
        whole = concatenated(*case)
        cut = truncated(whole, rank)
        assert cut.rank <= max(rank, 1)
        wanted = dense_sum(*case)
        sizes = torch.linalg.svdvals(wanted)
        error = float((cut.dense().double() - wanted).norm())
        assert error == pytest.approx(float(sizes[rank:].norm()), abs=1e-4 * max(1.0, float(sizes.max())))

    @given(SEEDS)
    def test_enough_ranks_lose_nothing(self, seed: int) -> None:
        """Three ranks of 4 in a 6 × 5 weight have rank 5 at most."""
        terms = [random_factors(6, 5, 4, seed + offset) for offset in range(3)]
        assert_close(truncated(concatenated(terms, [1, 1, 1]), 5).dense(), dense_sum(terms, [1, 1, 1]))

    def test_units_are_orthogonal_balanced_and_sorted(self) -> None:
        cut = truncated(concatenated([random_factors(9, 7, 3, seed) for seed in range(2)], [1, 1]), 4)
        outputs, inputs = cut.b_OR.T @ cut.b_OR, cut.a_RI @ cut.a_RI.T
        torch.testing.assert_close(outputs, inputs, rtol=0, atol=1e-4)
        torch.testing.assert_close(outputs, outputs.diag().diag(), rtol=0, atol=1e-4)
        assert torch.equal(outputs.diag().sort(descending=True).values, outputs.diag())


class TestInner:
    """Norms and inner products without densifying."""

    @given(sums(), SEEDS)
    def test_equals_the_dense_product(self, case: tuple[list[Factors], list[float]], seed: int) -> None:
        terms, _ = case
        shape = terms[0].shape[::-1] if terms[0].is_transposed else terms[0].shape
        other = random_factors(*shape, 3, seed, -0.7, terms[0].is_transposed)
        for term in terms:
            first, second = dense_sum([term], [1.0]), dense_sum([other], [1.0])
            scale = 1 + float(first.norm() * second.norm())
            assert inner(term, other) == pytest.approx(float((first * second).sum()), abs=1e-12 * scale)
            assert norm(term) == pytest.approx(float(first.norm()), abs=1e-7 * scale)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory can only be reset on Linux")
def test_no_dense_matrix_is_built() -> None:
    """Two adapters of rank 4 on a 20 000 × 20 000 weight, whose dense form has 1.6 GB."""
    terms = [random_factors(20_000, 20_000, 4, seed, 0.5) for seed in (0, 1)]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from what is held now
    before_kb = peak_kb()
    merged = truncated(concatenated(terms, [0.3, 0.9]), 4)
    assert inner(merged, terms[0]) > 0
    assert norm(merged) > 0
    assert peak_kb() - before_kb < 50_000  # in float64 the factors have 2.6 MB


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])
