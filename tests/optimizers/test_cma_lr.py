import numpy as np
import pytest

from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.testing.optimizers import Loop

GENES = [FloatGene(f"weight{i}", 0.0, 2.0) for i in range(6)]


def squares(genome: Genome, optimum: float) -> float:
    return sum((float(value) - optimum) ** 2 for value in genome)


def make(seeds: tuple[Genome, ...] = (), budget: int = 500) -> Optimizer:
    return make_optimizer({"name": "cma_lr"}, GENES, 1, 0, seeds, budget)


def test_the_mean_starts_in_the_middle_or_at_the_first_seed() -> None:
    assert make().favourite() == (1.0,) * 6
    assert make(((0.5,) * 6, (1.5,) * 6)).favourite() == (0.5,) * 6
    assert make(((0.0, 2.0) * 3,)).favourite() == (0.1, 1.9) * 3


def test_an_optimum_in_a_corner_is_reached() -> None:
    optimizer = make()
    Loop(optimizer, lambda genome: Scored((squares(genome, 2.0),))).run(budget=500, workers=1)
    favourite = optimizer.favourite()
    assert favourite is not None
    assert squares(favourite, 2.0) < 0.1 * squares((1.0,) * 6, 2.0)


def test_under_noise_the_favourite_is_better_than_the_best_seen() -> None:
    seen, believed = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        losses: dict[Genome, float] = {}

        def judge(genome: Genome, rng: np.random.Generator = rng, losses: dict[Genome, float] = losses) -> Scored:
            losses[genome] = squares(genome, 1.3) + float(rng.normal(0, 0.5))
            return Scored((losses[genome],))

        optimizer = make_optimizer({"name": "cma_lr"}, GENES, 1, seed, (), 300)
        Loop(optimizer, judge).run(budget=300, workers=1)
        favourite = optimizer.favourite()
        assert favourite is not None
        seen.append(squares(min(losses, key=lambda genome: losses[genome]), 1.3))
        believed.append(squares(favourite, 1.3))
    assert np.mean(believed) < np.mean(seen)


def test_a_broken_constraint_moves_the_mean_away() -> None:
    optimizer = make()

    def judge(genome: Genome) -> Scored:
        return Scored((squares(genome, 1.5),), (float(genome[0]) - 1.0,))

    Loop(optimizer, judge).run(budget=400, workers=1)
    favourite = optimizer.favourite()
    assert favourite is not None
    assert favourite[0] == pytest.approx(1.0, abs=0.15)
    assert favourite[1] == pytest.approx(1.5, abs=0.15)
