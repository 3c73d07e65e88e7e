import subprocess
import sys
import warnings

import numpy as np
import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import MIXED_GENES, Loop

NAMES = ("de", "pso", "tbpsa", "ng_portfolio")
REAL: list[Gene] = [FloatGene(f"weight{i}", -0.3, 0.7) for i in range(5)]


def judge(genome: Genome) -> Scored:
    return Scored((sum((float(value) - 0.05) ** 2 for value in genome),))


@pytest.mark.parametrize("name", NAMES)
def test_it_converges(name: str) -> None:
    optimizer = make_optimizer({"name": name, "population": 10}, REAL, 1, 0, (), 400)
    losses = [judge(genome).losses[0] for genome in Loop(optimizer, judge).run(budget=400, workers=1)]
    assert sum(losses[-20:]) < 0.25 * sum(losses[:20])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [2, 9])
def test_seeds_are_asked_first_and_improved_upon(name: str, count: int) -> None:
    seeds: list[Genome] = [(0.05 * i, "sign", 3 + i % 5, True, 0.123456, i % 3 - 1) for i in range(count)]

    def distance(genome: Genome) -> Scored:
        return Scored((abs(float(genome[0]) - 1.1) + abs(float(genome[2]) - 9) / 8 + float(genome[1] != "rank"),))

    optimizer = make_optimizer({"name": name, "population": 6}, MIXED_GENES, 1, 0, seeds, 150)
    genomes = Loop(optimizer, distance).run(budget=150, workers=1)
    assert genomes[:count] == seeds
    assert min(distance(genome).losses for genome in genomes) < min(distance(genome).losses for genome in seeds)


@pytest.mark.parametrize("num_seeds", [0, 30])
def test_a_portfolio_for_few_candidates_goes_on_after_its_design(num_seeds: int) -> None:
    seeds: list[Genome] = [(0.01 * i,) * 5 for i in range(num_seeds)]
    optimizer = make_optimizer({"name": "ng_portfolio", "budget": 24}, REAL, 1, 0, seeds, 24)
    genomes = Loop(optimizer, judge).run(budget=90, workers=1)
    assert genomes[:num_seeds] == seeds
    assert len(set(genomes)) == 90


@pytest.mark.parametrize("name", NAMES)
def test_a_feasible_candidate_is_preferred(name: str) -> None:
    def constrained(genome: Genome) -> Scored:
        return Scored(judge(genome).losses, (0.3 - float(genome[0]),))

    optimizer = make_optimizer({"name": name, "population": 10}, REAL, 1, 0, (), 400)
    genomes = Loop(optimizer, constrained).run(budget=400, workers=1)
    assert sum(float(genome[0]) >= 0.3 for genome in genomes[-50:]) > 20
    assert sum(float(genome[0]) for genome in genomes[-50:]) / 50 == pytest.approx(0.3, abs=0.1)


def test_under_noise_the_centre_of_tbpsa_is_better_than_the_best_seen() -> None:
    seen, believed = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        losses: dict[Genome, float] = {}

        def noisy(genome: Genome, rng: np.random.Generator = rng, losses: dict[Genome, float] = losses) -> Scored:
            losses[genome] = judge(genome).losses[0] + float(rng.normal(0, 0.3))
            return Scored((losses[genome],))

        optimizer = make_optimizer({"name": "tbpsa"}, REAL, 1, seed, (), 400)
        Loop(optimizer, noisy).run(budget=400, workers=1)
        favourite = optimizer.favourite()
        assert favourite is not None
        seen.append(judge(min(losses, key=lambda genome: losses[genome])).losses[0])
        believed.append(judge(favourite).losses[0])
    assert np.mean(believed) < np.mean(seen)


def test_the_portfolio_keeps_its_plan_when_a_search_is_given_more() -> None:
    runs = []
    for budget in (60, 3000):
        optimizer = make_optimizer({"name": "ng_portfolio", "budget": 60}, REAL, 1, 0, (), budget)
        runs.append(Loop(optimizer, judge).run(budget=120, workers=1))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_does_not_warn_or_print(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = make_optimizer({"name": name, "population": 6}, REAL, 1, 0, (), 30)
        Loop(optimizer, lambda _: Scored((1e300,))).run(budget=30, workers=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("num_genes", [1, 3, 40, 200])
@pytest.mark.parametrize("budget", [20, 300, 3000])
def test_the_portfolio_runs_and_ends_at_every_size(num_genes: int, budget: int) -> None:
    """Some of nevergrad's optimisers leave a thread behind that keeps the process from ending."""
    code = f"""
from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene
from evomerge.testing.optimizers import Loop
genes = [FloatGene(f"weight{{i}}", 0.0, 1.0) for i in range({num_genes})]
for population in (4, 20):
    optimizer = make_optimizer({{"name": "ng_portfolio", "population": population}}, genes, 1, 0, (), {budget})
    Loop(optimizer, lambda genome: Scored((sum(genome),))).run(budget={min(budget, 300)}, workers=1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
