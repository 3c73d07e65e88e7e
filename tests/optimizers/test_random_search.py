from collections import Counter

from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import RandomConfig
from evomerge.optimizers.random_search import RandomSearch
from evomerge.optimizers.registry import make_optimizer
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import Loop


def search(genes: list[Gene], population: int, seeds: tuple[Genome, ...] = ()) -> RandomSearch:
    return RandomSearch(RandomConfig(population=population), Start(genes, 1, 0, seeds, 100))


def test_every_gene_is_drawn_uniformly() -> None:
    genes: list[Gene] = [
        FloatGene("a", -1.0, 1.0),
        FloatGene("b", 0.01, 100.0, scale="log"),
        IntGene("c", 1, 4),
        ChoiceGene("d", ("x", "y")),
    ]
    a, b, c, d = zip(*search(genes, 4000).propose(), strict=True)
    assert abs(sum(value < 0 for value in a) - 2000) < 150
    assert abs(sum(value < 1 for value in b) - 2000) < 150
    assert all(abs(count - 1000) < 150 for count in Counter(c).values())
    assert sorted(Counter(c)) == [1, 2, 3, 4]
    assert abs(Counter(d)["x"] - 2000) < 150


def test_a_small_space_is_listed_once_and_then_exhausted() -> None:
    genes: list[Gene] = [IntGene("a", 0, 4), ChoiceGene("b", ("x", "y"))]
    optimizer = make_optimizer({"name": "random", "population": 4}, genes, 1, 0, (), 100)
    genomes = Loop(optimizer, lambda _: Scored((0.0,))).run(budget=100, workers=3)
    assert sorted(genomes) == [(a, b) for a in range(5) for b in "xy"]
    assert optimizer.ask() is None


def test_seeds_come_first_even_when_they_outnumber_a_generation() -> None:
    seeds = tuple((x,) for x in (5, 3, 9, 1, 7))
    engine = search([IntGene("a", 0, 100)], 4, seeds)
    assert tuple(engine.propose()) == seeds
    later = engine.propose()
    assert len(later) == 4
    assert not set(later) & set(seeds)
