from pathlib import Path

import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.testing.optimizers import Loop

GENES = [FloatGene(f"weight{i}", -0.3, 0.7) for i in range(4)]
SEEDS: list[Genome] = [(value,) * 4 for value in (0.0, 0.7, -0.3, 0.123456, 0.5, 0.6, 0.2)]


def judge(genome: Genome) -> Scored:
    return Scored((sum((float(value) - 0.05) ** 2 for value in genome),))


def test_seeds_fill_at_most_half_of_the_first_generation() -> None:
    optimizer = make_optimizer({"name": "cma_es", "population": 10}, GENES, 1, 0, SEEDS, 100)
    genomes = Loop(optimizer, judge).run(budget=10, workers=1)
    assert genomes[:5] == SEEDS[:5]
    assert not set(genomes[5:]) & set(SEEDS)


def test_the_favourite_converges_to_the_optimum() -> None:
    optimizer = make_optimizer({"name": "cma_es"}, GENES, 1, 0, SEEDS[:1], 400)
    assert optimizer.favourite() == pytest.approx((0.0,) * 4, abs=1e-12)
    Loop(optimizer, judge).run(budget=400, workers=1)
    assert optimizer.favourite() == pytest.approx((0.05,) * 4, abs=1e-3)


def test_it_neither_prints_nor_writes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    optimizer = make_optimizer({"name": "cma_es"}, GENES, 1, 0, (), 200)
    Loop(optimizer, lambda _: Scored((0.5,))).run(budget=200, workers=1)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
