import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, Gene, IntGene
from evomerge.testing.optimizers import MIXED_GENES, Loop


@pytest.mark.parametrize("genes", [[IntGene("layer", 0, 3), ChoiceGene("vote", (False, True))], MIXED_GENES])
def test_no_genome_is_proposed_twice_for_one_objective(genes: list[Gene]) -> None:
    optimizer = make_optimizer({"name": "nsga2", "population": 6}, genes, 1, 0, (), 150)
    genomes = Loop(optimizer, lambda genome: Scored((float(str(genome) > "m"),))).run(budget=150, workers=1)
    assert len(set(genomes)) == len(genomes) > 6
