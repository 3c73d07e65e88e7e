from collections import Counter

import pytest

from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import Loop

WEIGHT = FloatGene("weight", 0.0, 2.0)
LAYER = IntGene("layer", 0, 20)
BINARY = IntGene("binary", 3, 4)
VOTE = ChoiceGene("vote", ("none", "sign", 1, True))
ONE_OPTION = ChoiceGene("model", ("base",))
ONE_NUMBER = IntGene("rank", 7, 7)
OPTIMUM = {"weight": 1.4, "layer": 17, "binary": 4, "vote": True, "model": "base", "rank": 7}


@pytest.mark.parametrize(
    "genes",
    [
        [WEIGHT],
        [LAYER],
        [BINARY],
        [VOTE],
        [LAYER, VOTE],
        [VOTE, WEIGHT],
        [ONE_OPTION, LAYER, WEIGHT],
        [VOTE, ONE_NUMBER, LAYER, BINARY, WEIGHT, ONE_OPTION],
    ],
    ids=lambda genes: "+".join(gene.name for gene in genes),
)
def test_any_mix_of_genes_is_solved(genes: list[Gene]) -> None:
    def judge(genome: Genome) -> Scored:
        values = dict(zip((gene.name for gene in genes), genome, strict=True))
        loss = sum(
            float(value is not OPTIMUM[name])
            if isinstance(value, str | bool) or name == "vote"
            else abs(float(value) - float(OPTIMUM[name])) / 5
            for name, value in values.items()
        )
        return Scored((loss,))

    optimizer = make_optimizer({"name": "catcma"}, genes, 1, 1, (), 600)
    Loop(optimizer, judge).run(budget=600, workers=1)
    favourite = optimizer.favourite()
    assert favourite is not None
    for gene, value in zip(genes, favourite, strict=True):
        assert value == pytest.approx(OPTIMUM[gene.name], abs=0.02)
        assert type(value) is type(OPTIMUM[gene.name])


def test_the_distribution_starts_at_the_first_seed() -> None:
    genes: list[Gene] = [VOTE, LAYER, ONE_OPTION, WEIGHT, BINARY]
    seed: Genome = (True, 18, "base", 0.5, 4)
    optimizer = make_optimizer({"name": "catcma", "population": 200}, genes, 1, 0, [seed], 200)
    assert optimizer.favourite() == seed
    asked = Loop(optimizer, lambda _: Scored((0.0,))).run(budget=200, workers=1)
    votes = Counter((type(genome[0]), genome[0]) for genome in asked)
    # Half of the probability lies on the seed's option and a quarter of the rest: 125 of 200.
    assert 105 < votes[(bool, True)] < 145
    assert len(votes) == 4


def test_a_seed_on_the_border_starts_a_little_inside() -> None:
    optimizer = make_optimizer({"name": "catcma"}, [WEIGHT, LAYER], 1, 0, [(2.0, 0)], 100)
    assert optimizer.favourite() == (1.9, 1)
