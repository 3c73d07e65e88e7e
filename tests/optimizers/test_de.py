import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", -0.3, 0.7) for i in range(5)]


def judge(genome: Genome) -> Scored:
    return Scored((sum((float(value) - 0.05) ** 2 for value in genome),))


@pytest.mark.parametrize("crossover", ["uniform", "two_points"])
def test_it_converges(crossover: str) -> None:
    config = {"name": "de", "population": 10, "crossover": crossover}
    optimizer = make_optimizer(config, REAL, 1, 0, (), 300)
    genomes = Loop(optimizer, judge).run(budget=300, workers=1)
    losses = [judge(genome).losses[0] for genome in genomes]
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    assert optimizer.favourite() is None


def test_the_first_generation_covers_the_space() -> None:
    optimizer = make_optimizer({"name": "de", "population": 200}, REAL, 1, 0, (), 200)
    genomes = Loop(optimizer, judge).run(budget=200, workers=1)
    for values in zip(*genomes, strict=True):
        assert all(20 < sum(low <= float(x) < low + 0.25 for x in values) < 80 for low in (-0.3, -0.05, 0.2, 0.45))
