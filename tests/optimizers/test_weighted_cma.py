from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import MIXED_GENES, Judge, Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(4)]


def run(
    settings: Mapping[str, Any], genes: list[Gene], judge: Judge, budget: int, seeds: tuple[Genome, ...] = ()
) -> tuple[Optimizer, NDArray[Any]]:
    optimizer = make_optimizer({"name": "weighted_cma", **settings}, genes, 2, 0, seeds, budget)
    return optimizer, np.array(Loop(optimizer, judge).run(budget, workers=1), dtype=object)


def favourite(optimizer: Optimizer) -> tuple[Any, ...]:
    genome = optimizer.favourite()
    assert genome is not None
    return genome


def spheres(genome: Genome) -> Scored:
    point = np.array(genome, dtype=float)
    # The second objective has a scale of its own, which must not matter.
    return Scored((float(np.sum((point - 0.3) ** 2)), 1000 * float(np.sum((point - 0.7) ** 2))))


@pytest.mark.parametrize("scalarising", ["tchebycheff", "sum"])
def test_each_member_goes_to_its_own_optimum(scalarising: str) -> None:
    settings = {"scalarising": scalarising, "population": 8, "head_start": 5}
    optimizer, genomes = run(settings, REAL, spheres, budget=40 + 3 * 8 * 12)
    rounds = genomes[40:].astype(float).reshape(12, 3, 8, 4)
    means_34 = rounds[-1].mean(axis=1)
    # Equal weights, the second objective alone, the first alone.
    assert means_34.mean(axis=1) == pytest.approx((0.5, 0.7, 0.3), abs=0.08)
    assert np.mean(favourite(optimizer)) == pytest.approx(0.5, abs=0.08)


def test_only_tchebycheff_reaches_the_inside_of_a_concave_front() -> None:
    def quarter_circle(genome: Genome) -> Scored:
        angle, *rest = (float(value) for value in genome)
        radius = 1 + sum((value - 0.5) ** 2 for value in rest)
        return Scored((radius * np.cos(angle * np.pi / 2), radius * np.sin(angle * np.pi / 2)))

    inside = {}
    for scalarising in ("tchebycheff", "sum"):
        _, genomes = run(
            {"scalarising": scalarising, "head_start": 20}, REAL, quarter_circle, 160, ((0.4, *[0.5] * 3),)
        )
        inside[scalarising] = np.abs(genomes[-30:, 0].astype(float) - 0.5).mean()
    assert inside["tchebycheff"] < 0.1 < 0.3 < inside["sum"]


def test_mixed_genes_move_too() -> None:
    def judge(genome: Genome) -> Scored:
        votes = {"none": 0.0, "sign": 1.0, "rank": 2.0}[str(genome[1])]
        return Scored((votes + abs(int(genome[2]) - 3), 2.0 - votes + abs(int(genome[2]) - 3)))

    optimizer, genomes = run({"head_start": 3}, list(MIXED_GENES), judge, budget=200)
    assert favourite(optimizer)[2] <= 4
    assert {"none", "rank"} <= set(genomes[-60:, 1])


def test_one_gene_is_enough() -> None:
    genes: list[Gene] = [FloatGene("weight", 0.0, 1.0)]
    optimizer, _ = run({}, genes, spheres, budget=60)
    assert 0.2 < favourite(optimizer)[0] < 0.8
