import numpy as np
import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import MIXED_GENES, Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(4)]


def two_spheres(genome: Genome) -> tuple[float, float]:
    point = np.array(genome, dtype=float)
    return float(np.sum((point - 0.2) ** 2)), float(np.sum((point - 0.8) ** 2))


def test_the_survivors_spread_along_the_front() -> None:
    optimizer = make_optimizer({"name": "nsga2", "population": 16}, REAL, 2, 0, (), 480)
    genomes = Loop(optimizer, lambda genome: Scored(two_spheres(genome))).run(budget=480, workers=1)
    losses_N2 = np.array([two_spheres(genome) for genome in genomes])
    beaten_N = [any((other <= one).all() and (other < one).any() for other in losses_N2) for one in losses_N2]
    distances_F2 = np.sqrt(losses_N2[~np.array(beaten_N)])
    # The front is the segment between the two centres, on which the distances to both add up to theirs: 1.2.
    assert len(distances_F2) >= 16
    assert np.mean(distances_F2.sum(axis=1)) < 1.2 + 0.05
    assert distances_F2.min(axis=0).max() < 0.2


def test_constraints_come_before_losses() -> None:
    def judge(genome: Genome) -> Scored:
        return Scored(two_spheres(genome), (0.5 - float(genome[0]), -1.0))

    optimizer = make_optimizer({"name": "nsga2", "population": 12}, REAL, 2, 0, (), 300)
    genomes = Loop(optimizer, judge).run(budget=300, workers=1)
    feasible = [float(genome[0]) >= 0.5 for genome in genomes]
    assert sum(feasible[-60:]) > 45
    assert sum(feasible[:60]) < sum(feasible[-60:])


@pytest.mark.parametrize("genes", [[IntGene("layer", 0, 3), ChoiceGene("vote", (False, True))], MIXED_GENES])
def test_no_genome_is_proposed_twice(genes: list[Gene]) -> None:
    optimizer = make_optimizer({"name": "nsga2", "population": 6}, genes, 1, 0, (), 150)
    genomes = Loop(optimizer, lambda genome: Scored((float(str(genome) > "m"),))).run(budget=150, workers=1)
    assert len(set(genomes)) == len(genomes) > 6


def test_a_small_space_is_exhausted() -> None:
    genes: list[Gene] = [IntGene("layer", 0, 3), ChoiceGene("vote", ("none", "sign"))]
    optimizer = make_optimizer({"name": "nsga2", "population": 20}, genes, 1, 0, (), 100)
    genomes = Loop(optimizer, lambda _: Scored((0.0,))).run(budget=100, workers=1)
    assert sorted(genomes) == [(layer, vote) for layer in range(4) for vote in ("none", "sign")]
    assert optimizer.ask() is None


@pytest.mark.parametrize("count", [2, 9])
def test_seeds_are_asked_first(count: int) -> None:
    seeds: list[Genome] = [(0.1 * i, "sign", 3 + i % 5, True, 0.123456, i % 3 - 1) for i in range(count)]
    optimizer = make_optimizer({"name": "nsga2", "population": 6}, MIXED_GENES, 1, 0, seeds, 30)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(budget=30, workers=1)
    assert genomes[:count] == seeds
    assert len(genomes) == 30


def test_it_does_not_print(capfd: pytest.CaptureFixture[str]) -> None:
    optimizer = make_optimizer({"name": "nsga2", "population": 6}, REAL, 2, 0, (), 30)
    Loop(optimizer, lambda genome: Scored(two_spheres(genome))).run(budget=30, workers=1)
    assert capfd.readouterr() == ("", "")
