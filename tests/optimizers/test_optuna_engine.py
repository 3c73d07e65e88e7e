from importlib.util import find_spec

import pytest

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Gene, Genome
from evomerge.testing.optimizers import MIXED_GENES, Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(3)]

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is an extra")


@pytest.mark.skipif(find_spec("optuna") is not None, reason="optuna is here")
@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_without_optuna_the_message_says_how_to_get_it(name: str) -> None:
    with pytest.raises(ConfigError, match=rf'optimizer\.name: "{name}" needs optuna.*evomerge\[optuna\]'):
        make_optimizer({"name": name}, REAL, 1, 0, (), 10)


@needs_optuna
@pytest.mark.parametrize(("name", "count"), [("tpe", 2), ("tpe", 9), ("gp", 2)])
def test_seeds_are_asked_first(name: str, count: int) -> None:
    seeds: list[Genome] = [(0.1 * i, "sign", 3 + i % 5, True, 0.123456, i % 3 - 1) for i in range(count)]
    optimizer = make_optimizer({"name": name}, MIXED_GENES, 1, 0, seeds, 20)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(budget=20, workers=1)
    assert genomes[:count] == seeds


@needs_optuna
@pytest.mark.parametrize(("name", "budget"), [("tpe", 120), ("gp", 40)])
def test_a_feasible_candidate_is_preferred(name: str, budget: int) -> None:
    def judge(genome: Genome) -> Scored:
        return Scored((sum((float(value) - 0.2) ** 2 for value in genome),), (0.6 - float(genome[0]),))

    optimizer = make_optimizer({"name": name}, REAL, 1, 0, (), budget)
    genomes = Loop(optimizer, judge).run(budget=budget, workers=1)
    late = genomes[-20:]
    assert sum(float(genome[0]) > 0.58 for genome in late) > 10
    assert sum(float(genome[1]) for genome in late) / 20 < 0.4
