"""Genes: their values and their places in the unit interval."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.spaces import ChoiceGene, FloatGene, IntGene
from evomerge.spaces.genes import rounded

ENDS = st.integers(-(10**6), 10**6).map(lambda number: number / 1000)


@st.composite
def float_genes(draw: st.DrawFn) -> FloatGene:
    low, high = sorted(draw(st.lists(ENDS, min_size=2, max_size=2, unique=True)))
    scale = "log" if low > 0 and draw(st.booleans()) else "linear"
    return FloatGene("g", low, high, scale=scale)  # type: ignore[arg-type]


@given(float_genes(), st.floats(-0.5, 1.5))
def test_every_position_is_a_value_of_the_gene(gene: FloatGene, unit: float) -> None:
    value = gene.from_unit(unit)
    assert gene.contains(value)
    assert -1e-5 <= gene.to_unit(value) <= 1 + 1e-5


@given(float_genes(), st.floats(0, 1))
def test_position_and_value_are_inverse(gene: FloatGene, unit: float) -> None:
    """Up to the rounding of values to six digits."""
    value = gene.from_unit(unit)
    assert math.isclose(gene.from_unit(gene.to_unit(value)), value, rel_tol=2e-6, abs_tol=1e-9 * (gene.high - gene.low))


@given(float_genes())
def test_the_ends_stand_at_zero_and_one(gene: FloatGene) -> None:
    assert (gene.from_unit(0), gene.from_unit(1)) == (gene.low, gene.high)
    assert (gene.to_unit(gene.low), gene.to_unit(gene.high)) == (0, 1)


@given(float_genes(), st.floats(0, 1), st.floats(0, 1))
def test_greater_positions_are_greater_values(gene: FloatGene, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert gene.from_unit(low) <= gene.from_unit(high)


def test_a_log_scale_makes_equal_ratios_equally_far() -> None:
    gene = FloatGene("g", 0.01, 100, scale="log")
    assert gene.from_unit(0.25) == pytest.approx(0.1)
    assert gene.from_unit(0.5) == pytest.approx(1)


def test_a_gene_of_one_value_stands_at_zero() -> None:
    assert FloatGene("g", 2, 2).to_unit(2) == 0


def test_values_carry_six_digits() -> None:
    assert FloatGene("g", 0, 1).from_unit(1 / 3) == 0.333333
    assert rounded(123456.789) == 123457


@pytest.mark.parametrize(
    ("gene", "inside", "outside"),
    [
        (FloatGene("g", 0, 1), [0, 1, 0.5, 0.0], [-0.1, 1.1, True, "0.5", math.nan]),
        (IntGene("g", 1, 3), [1, 2, 3], [0, 4, 2.0, True, "2"]),
        (ChoiceGene("g", ("a", 1, True, 0.5)), ["a", 1, True, 0.5], ["b", 1.0, False, 0]),
    ],
)
def test_genes_know_their_values(
    gene: FloatGene | IntGene | ChoiceGene, inside: list[float], outside: list[float]
) -> None:
    assert all(map(gene.contains, inside))
    assert not any(map(gene.contains, outside))


def test_genes_are_values() -> None:
    gene = FloatGene("g", 0, 1, neutral=0.5)
    assert pickle.loads(pickle.dumps(gene)) == gene  # Ray carries them so
    assert len({gene, FloatGene("g", 0, 1, neutral=0.5)}) == 1


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_positions_far_outside_are_the_ends(scale: Any) -> None:
    gene = FloatGene("g", 0.1, 10, scale=scale)
    assert (gene.from_unit(-1e6), gene.from_unit(1e6)) == (0.1, 10)
