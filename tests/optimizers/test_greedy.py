from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene
from evomerge.testing.optimizers import Loop

WEIGHTS: list[Gene] = [FloatGene(name, 0.0, 1.0) for name in ("math", "ja")]


def make(genes: list[Gene], seeds: tuple[Genome, ...] = (), **settings: object) -> Optimizer:
    return make_optimizer({"name": "greedy", **settings}, genes, 1, 0, seeds, 100)


def judge(genome: Genome) -> Scored:
    math, ja = (float(value) for value in genome)
    return Scored(((math - 0.5) ** 2 + (ja - 0.25 - math / 2) ** 2,))


def test_one_expert_after_another_with_the_best_coefficient_of_the_grid() -> None:
    genomes = Loop(make(WEIGHTS, points=5), judge).run(budget=9, workers=3)
    assert genomes[0] == (0.0, 0.0)
    assert genomes[1:5] == [(0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.0)]
    assert genomes[5:9] == [(0.25, ja) for ja in (0.25, 0.5, 0.75, 1.0)]


def test_a_second_sweep_corrects_the_first_and_a_finer_grid_the_second() -> None:
    optimizer = make(WEIGHTS, points=5)
    Loop(optimizer, judge).run(budget=60, workers=1)
    found = optimizer.favourite()
    assert found is not None
    assert judge(found).losses[0] < 0.005


def test_what_is_no_worse_is_kept() -> None:
    optimizer = make(WEIGHTS, points=3)
    Loop(optimizer, lambda _: Scored((0.5,))).run(budget=5, workers=1)
    assert optimizer.favourite() == (1.0, 1.0)


def test_it_goes_on_from_the_best_seed() -> None:
    seeds: tuple[Genome, ...] = ((0.9, 0.1), (0.5, 0.4))
    genomes = Loop(make(WEIGHTS, seeds, points=3), judge).run(budget=10, workers=1)
    assert genomes[:4] == [*seeds, (0.0, 0.4), (1.0, 0.4)]


def test_genes_start_where_they_leave_things_as_they_are() -> None:
    genes = [FloatGene("density", 0.05, 1, neutral=1.0), FloatGene("log", 0.1, 10), IntGene("layer", -3, 4)]
    assert make([*genes, ChoiceGene("vote", ("none", "sign"))]).ask() == (1.0, 0.1, 0, "none")


def test_a_small_space_is_exhausted() -> None:
    genes: list[Gene] = [IntGene("layer", 0, 2), ChoiceGene("vote", ("none", "sign"))]
    optimizer = make(genes)
    genomes = Loop(optimizer, lambda genome: Scored((float(genome[0]),))).run(budget=100, workers=1)
    assert genomes[0] == (0, "none")
    assert len(set(genomes)) == len(genomes) < 7
    assert optimizer.ask() is None
