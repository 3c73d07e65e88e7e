import warnings

import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import MIXED_GENES, Loop

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


@pytest.mark.parametrize("count", [2, 9])
def test_seeds_are_asked_first_and_improved_upon(count: int) -> None:
    seeds: list[Genome] = [(0.05 * i, "sign", 3 + i % 5, True, 0.123456, i % 3 - 1) for i in range(count)]

    def distance(genome: Genome) -> Scored:
        return Scored((abs(float(genome[0]) - 1.1) + abs(float(genome[2]) - 9) / 8 + float(genome[1] != "rank"),))

    optimizer = make_optimizer({"name": "de", "population": 6}, MIXED_GENES, 1, 0, seeds, 120)
    genomes = Loop(optimizer, distance).run(budget=120, workers=1)
    assert genomes[:count] == seeds
    assert min(distance(genome).losses for genome in genomes) < min(distance(genome).losses for genome in seeds)


def test_a_feasible_candidate_is_preferred() -> None:
    def constrained(genome: Genome) -> Scored:
        return Scored(judge(genome).losses, (0.3 - float(genome[0]),))

    optimizer = make_optimizer({"name": "de", "population": 10}, REAL, 1, 0, (), 300)
    genomes = Loop(optimizer, constrained).run(budget=300, workers=1)
    assert sum(float(genome[0]) >= 0.3 for genome in genomes[-50:]) > 25
    assert sum(float(genome[0]) for genome in genomes[-50:]) / 50 == pytest.approx(0.3, abs=0.06)


def test_it_does_not_warn_or_print(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = make_optimizer({"name": "de", "population": 6}, REAL, 1, 0, (), 30)
        Loop(optimizer, lambda _: Scored((1e300,))).run(budget=30, workers=1)
    assert capfd.readouterr() == ("", "")
