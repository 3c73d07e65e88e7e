"""Laws of members: one spelling each, mixes that are symmetric, and kinship that is a cosine."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import Cross, Lineage
from evomerge.testing.lineages import small_lineage

LINEAGE = small_lineage()
SHARES = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]) | st.floats(0, 1)
ARCS = st.sampled_from(["slerp", "linear"])
ANGLES = st.sampled_from(["whole", "side"])


@st.composite
def crosses(draw: Any) -> list[Cross]:
    return [Cross(draw(st.integers(each.start, each.stop)), draw(SHARES)) for each in LINEAGE.lattice.chromosomes]


@st.composite
def members(draw: Any) -> Genome:
    """Bred over a few generations."""
    pool = list(LINEAGE.founders)
    for _ in range(draw(st.integers(0, 4))):
        one, other = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        pool.append(LINEAGE.mix(one, other, draw(crosses()), draw(ARCS), draw(ANGLES)))
    return pool[-1]


def opposite(crossing: list[Cross]) -> list[Cross]:
    return [Cross(cross.split, 1 - cross.t) for cross in crossing]


@settings(max_examples=40)
@given(members())
def test_a_member_has_one_spelling(member: Genome) -> None:
    assert LINEAGE.contains(member)
    assert LINEAGE.genome(LINEAGE.coefficients(member)) == member
    stretches = LINEAGE.stretches(member)
    assert [stretch.start for stretch in stretches] == [0, *(stretch.stop for stretch in stretches[:-1])]
    assert all(s.chromosome.start <= s.start < s.stop <= s.chromosome.stop for s in stretches)


@settings(max_examples=40)
@given(members(), members(), crosses(), ARCS, ANGLES)
def test_parents_may_change_places(one: Genome, other: Genome, how: list[Cross], arc: Any, angle: Any) -> None:
    child = LINEAGE.coefficients(LINEAGE.mix(one, other, how, arc, angle))
    turned = LINEAGE.coefficients(LINEAGE.mix(other, one, opposite(how), arc, angle))
    np.testing.assert_allclose(child, turned, rtol=0, atol=1e-7)


@settings(max_examples=40)
@given(members(), crosses(), ARCS, ANGLES)
def test_of_one_parent_twice_nothing_new_comes(member: Genome, how: list[Cross], arc: Any, angle: Any) -> None:
    child = LINEAGE.mix(member, member, how, arc, angle)
    np.testing.assert_allclose(LINEAGE.coefficients(child), LINEAGE.coefficients(member), rtol=0, atol=1e-7)


@settings(max_examples=40)
@given(members(), members(), st.data(), ARCS, ANGLES)
def test_at_the_ends_of_the_weight_sides_are_the_parents_own(
    one: Genome, other: Genome, data: Any, arc: Any, angle: Any
) -> None:
    how = [Cross(data.draw(st.integers(each.start, each.stop)), 0.0) for each in LINEAGE.lattice.chromosomes]
    child = LINEAGE.coefficients(LINEAGE.mix(one, other, how, arc, angle))
    for chromosome, cross in zip(LINEAGE.lattice.chromosomes, how, strict=True):
        for parent, start, stop in ((one, chromosome.start, cross.split), (other, cross.split, chromosome.stop)):
            own = LINEAGE.coefficients(parent)[start:stop]
            np.testing.assert_allclose(child[start:stop], own, rtol=0, atol=1e-7)


def test_on_the_line_members_are_averages_of_the_models() -> None:
    founders = LINEAGE.founders
    how = [Cross(each.stop, 0.3) for each in LINEAGE.lattice.chromosomes]
    child = LINEAGE.mix(
        LINEAGE.mix(founders[0], founders[1], how, "linear", "whole"), founders[2], how, "linear", "whole"
    )
    np.testing.assert_allclose(LINEAGE.coefficients(child)[0], [0.49, 0.21, 0.3], atol=1e-8)


@settings(max_examples=40)
@given(st.lists(members(), min_size=1, max_size=4))
def test_kinship_is_a_cosine(several: list[Genome]) -> None:
    cosine_PP = LINEAGE.kinship(several)
    np.testing.assert_allclose(cosine_PP, cosine_PP.T, atol=1e-9)
    assert np.abs(cosine_PP).max() <= 1 + 1e-9
    assert all(abs(own - 1) < 1e-9 or own == 0 for own in np.diag(cosine_PP))


def test_kinship_is_seen_from_the_mean_of_the_models_or_from_the_origin() -> None:
    vectors_KE = np.array([[3.0, 0, 0], [0, 2.0, 0], [1.0, 1.0, 1.0]])
    cells = LINEAGE.lattice.cells
    gram_LKK = np.tile(vectors_KE @ vectors_KE.T, (len(cells), 1, 1))
    for has_origin, seen_KE in ((True, vectors_KE), (False, vectors_KE - vectors_KE.mean(axis=0))):
        units_KE = seen_KE / np.linalg.norm(seen_KE, axis=1, keepdims=True)
        lineage = Lineage(LINEAGE.names, LINEAGE.lattice, gram_LKK, has_origin)
        np.testing.assert_allclose(lineage.kinship(lineage.founders), units_KE @ units_KE.T, atol=1e-12)


@pytest.mark.parametrize(
    "genome",
    [
        (),
        (24, 1.0, 0.0),
        (24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, 0.0),
        (6, 1.0, 0.0, 0.0, 12, 1.0, 0.0, 0.0, 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, 0.0, 6, 0.0, 1.0, 0.0, 24, 1.0, 0.0, 0.0),
        (12.0, 1.0, 0.0, 0.0, 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, float("nan"), 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, True, 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, "0", 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, 0.1234567891234, 24, 1.0, 0.0, 0.0),
        (12, 1.0, 0.0, 0.0, 30, 1.0, 0.0, 0.0),
    ],
)
def test_what_is_no_member_is_told(genome: Genome) -> None:
    assert LINEAGE.contains((12, 1.0, 0.0, 0.0, 24, 1.0, 0.0, 0.0))
    assert not LINEAGE.contains(genome)
