import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from evomerge.optimizers.base import Scored
from evomerge.optimizers.probable_ranks import probable_domination, probably_beats
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(3)]
ROWS = st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=2, max_size=8)


def pareto(losses_NM: np.ndarray) -> np.ndarray:
    """Whether the row dominates the column."""
    no_worse = (losses_NM[:, None] <= losses_NM[None]).all(axis=2)
    return no_worse & (losses_NM[:, None] < losses_NM[None]).any(axis=2)


@given(ROWS)
def test_without_errors_it_is_paretos_rule(rows: list[tuple[float, ...]]) -> None:
    losses_N2 = np.array(rows)
    assert (probable_domination(losses_N2, np.zeros_like(losses_N2)) == pareto(losses_N2)).all()


@given(ROWS, st.floats(0.01, 0.5))
def test_what_probably_dominates_dominates_in_the_means(rows: list[tuple[float, ...]], error: float) -> None:
    """So ranks have no circles: each layer has somebody."""
    losses_N2 = np.array(rows)
    probable_NN = probably_beats(losses_N2, np.full_like(losses_N2, error), 0.5)
    assert (probable_NN <= pareto(losses_N2)).all()


def test_the_probability_is_that_of_two_normal_losses() -> None:
    losses_22, errors_22 = np.array([[0.3, 0.4], [0.5, 0.5]]), np.array([[0.03, 0.1], [0.04, 0.2]])
    expected = norm.cdf(0.2 / 0.05) * norm.cdf(0.1 / np.sqrt(0.05))
    assert probable_domination(losses_22, errors_22)[0, 1] == pytest.approx(expected)


def run(confidence: float | None, error: float) -> list[Genome]:
    def judge(genome: Genome) -> Scored:
        point = np.array(genome, dtype=float)
        losses = (float(np.sum((point - 0.2) ** 2)), float(np.sum((point - 0.8) ** 2)))
        return Scored(losses, errors=(error, error))

    optimizer = make_optimizer({"name": "nsga2", "population": 8, "confidence": confidence}, REAL, 2, 0, (), 160)
    return Loop(optimizer, judge).run(160, workers=1)


def test_errors_matter_where_a_confidence_is_asked_for() -> None:
    assert run(None, 0.0) == run(None, 0.5)
    assert run(0.9, 0.0) != run(0.9, 0.5)


def test_noise_that_drowns_all_differences_leaves_no_pressure() -> None:
    def mean_distance(genomes: list[Genome]) -> float:
        late = np.array(genomes[-40:], dtype=float)
        return float(np.mean(np.sum((late - 0.2) ** 2, axis=1) + np.sum((late - 0.8) ** 2, axis=1)))

    assert mean_distance(run(0.9, 0.0)) < mean_distance(run(0.9, 100.0))
