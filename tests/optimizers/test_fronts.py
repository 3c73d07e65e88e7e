"""What every optimiser for fronts must do, whichever library is behind it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import MIXED_GENES, Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(4)]
EVOLUTIONARY = ("nsga2", "nsga3", "sms_emoa", "c_taea")
CONFIGS: list[dict[str, Any]] = [
    *({"name": name, "population": 16} for name in EVOLUTIONARY),
    {"name": "weighted_cma", "divisions": 4, "head_start": 2},
]


def two_spheres(genome: Genome) -> tuple[float, float]:
    point = np.array(genome, dtype=float)
    return float(np.sum((point - 0.2) ** 2)), float(np.sum((point - 0.8) ** 2))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["name"])
def test_candidates_spread_along_the_front(config: Mapping[str, Any]) -> None:
    optimizer = make_optimizer(config, REAL, 2, 0, (), 480)
    genomes = Loop(optimizer, lambda genome: Scored(two_spheres(genome))).run(budget=480, workers=1)
    losses_N2 = np.array([two_spheres(genome) for genome in genomes])
    beaten_N = [any((other <= one).all() and (other < one).any() for other in losses_N2) for one in losses_N2]
    distances_F2 = np.sqrt(losses_N2[~np.array(beaten_N)])
    # The front is the segment between the two centres, on which the distances to both add up to theirs: 1.2.
    assert np.mean(distances_F2.sum(axis=1)) < 1.2 + 0.05
    assert distances_F2.min(axis=0).max() < 0.3
    assert len(distances_F2) >= 16


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["name"])
def test_constraints_come_before_losses(config: Mapping[str, Any]) -> None:
    def judge(genome: Genome) -> Scored:
        return Scored(two_spheres(genome), (0.5 - float(genome[0]), -1.0))

    optimizer = make_optimizer(config, REAL, 2, 0, (), 320)
    genomes = Loop(optimizer, judge).run(budget=320, workers=1)
    feasible = [float(genome[0]) >= 0.5 for genome in genomes]
    assert sum(feasible[-80:]) > 55 or config["name"] == "c_taea"  # whose second archive ignores constraints
    assert sum(feasible[:80]) < sum(feasible[-80:])


@pytest.mark.parametrize("name", EVOLUTIONARY)
def test_a_run_repeats_when_all_break_a_constraint_alike(name: str) -> None:
    def run() -> list[Genome]:
        optimizer = make_optimizer({"name": name, "population": 10}, REAL, 2, 0, (), 60)
        return Loop(optimizer, lambda genome: Scored(two_spheres(genome), (1.0,))).run(budget=60, workers=1)

    assert run() == run()


@pytest.mark.parametrize("name", EVOLUTIONARY)
@pytest.mark.parametrize("population", [6, 20])
def test_a_small_space_is_exhausted(name: str, population: int) -> None:
    genes: list[Gene] = [IntGene("layer", 0, 3), ChoiceGene("vote", ("none", "sign"))]
    optimizer = make_optimizer({"name": name, "population": population}, genes, 2, 0, (), 100)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]), -float(genome[0])))).run(budget=100, workers=1)
    assert sorted(genomes) == [(layer, vote) for layer in range(4) for vote in ("none", "sign")]
    assert optimizer.ask() is None


@pytest.mark.parametrize("name", EVOLUTIONARY)
def test_the_smallest_population_of_three_objectives(name: str) -> None:
    optimizer = make_optimizer({"name": name, "population": 4}, REAL, 3, 0, (), 40)
    judge = lambda genome: Scored((*two_spheres(genome), float(genome[0])))  # noqa: E731
    assert len(set(Loop(optimizer, judge).run(budget=40, workers=3))) == 40


@pytest.mark.parametrize("name", EVOLUTIONARY)
@pytest.mark.parametrize("count", [2, 9])
def test_seeds_are_asked_first(name: str, count: int) -> None:
    seeds: list[Genome] = [(0.1 * i, "sign", 3 + i % 5, True, 0.123456, i % 3 - 1) for i in range(count)]
    optimizer = make_optimizer({"name": name, "population": 6}, MIXED_GENES, 2, 0, seeds, 30)
    judge = lambda genome: Scored((float(genome[0]), float(genome[2])))  # noqa: E731
    genomes = Loop(optimizer, judge).run(budget=30, workers=1)
    assert genomes[:count] == seeds
    assert len(set(genomes)) == 30


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["name"])
def test_four_objectives_and_no_output(config: Mapping[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    def judge(genome: Genome) -> Scored:
        return Scored(tuple((float(value) - 1) ** 2 for value in genome))

    optimizer = make_optimizer(config, REAL, 4, 0, (), 60)
    assert len(Loop(optimizer, judge).run(budget=60, workers=1)) == 60
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["nsga3", "sms_emoa", "c_taea", "weighted_cma"])
def test_one_objective_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="takes two objectives or more, but the fitness has one"):
        make_optimizer({"name": name}, REAL, 1, 0, (), 10)
