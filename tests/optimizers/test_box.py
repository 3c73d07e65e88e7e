import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.optimizers.box import MARGIN, Box, option_index
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene

GENES: tuple[Gene, ...] = (
    FloatGene("linear", -1.0, 2.0),
    FloatGene("log", 0.001, 10.0, scale="log"),
    FloatGene("fixed", 3.0, 3.0),
    IntGene("whole", -2, 9),
    IntGene("single", 4, 4),
    ChoiceGene("choice", ("none", 1, True, 0.5)),
)
COORDINATES = st.lists(st.floats(-0.5, 1.5), min_size=9, max_size=9).map(np.array)


def test_a_choice_takes_one_coordinate_per_option() -> None:
    assert Box(GENES).dimension == 5 + 4


@settings(deadline=None)
@given(COORDINATES)
def test_every_point_spells_a_genome_of_the_space(point_D: np.ndarray) -> None:
    genome = Box(GENES).decode(point_D)
    assert all(gene.contains(value) for gene, value in zip(GENES, genome, strict=True))
    assert [type(value) for value in genome[:5]] == [float, float, float, int, int]


@settings(deadline=None)
@given(COORDINATES)
def test_a_genome_survives_the_way_through_the_box(point_D: np.ndarray) -> None:
    box = Box(GENES)
    genome = box.decode(point_D)
    point_back_D = box.encode(genome)
    assert ((point_back_D >= 0) & (point_back_D <= 1)).all()
    again = box.decode(point_back_D)
    assert again[3:] == genome[3:]
    assert again[:3] == pytest.approx(genome[:3], rel=1e-5, abs=1e-12)


def test_whole_numbers_get_equal_shares_of_their_coordinate() -> None:
    box = Box([IntGene("whole", 0, 3)])
    values = [box.decode(np.array([x]))[0] for x in np.linspace(0, 1, 4000, endpoint=False)]
    assert [values.count(value) for value in range(4)] == [1000] * 4


def test_true_and_one_are_different_options() -> None:
    gene = ChoiceGene("choice", (1, True, 1.0))
    assert [option_index(gene, value) for value in gene.options] == [0, 1, 2]


@pytest.mark.parametrize(
    ("seeds", "mean"),
    [((), [0.5, 0.5]), (((0.0, 1.0),), [MARGIN, 1 - MARGIN]), (((0.25, 0.75), (0.0, 0.0)), [0.25, 0.75])],
)
def test_the_first_mean_lies_inside_the_box(seeds: tuple[Genome, ...], mean: list[float]) -> None:
    box = Box([FloatGene("a", 0.0, 1.0), FloatGene("b", 0.0, 1.0)])
    assert box.first_mean(seeds).tolist() == pytest.approx(mean)
