from evomerge.optimizers.base import Scored
from evomerge.optimizers.registry import make_optimizer
from evomerge.spaces.genes import FloatGene, Genome
from evomerge.testing.optimizers import Loop

GENES = [FloatGene(f"weight{i}", 0.0, 2.0) for i in range(100)]


def squares(genome: Genome) -> float:
    return sum(10 ** (i % 4) * (float(value) - 1.3) ** 2 for i, value in enumerate(genome))


def mean_after(name: str, budget: int) -> float:
    optimizer = make_optimizer({"name": name}, GENES, 1, 0, (), budget)
    Loop(optimizer, lambda genome: Scored((squares(genome),))).run(budget=budget, workers=1)
    favourite = optimizer.favourite()
    assert favourite is not None
    return squares(favourite)


def test_scales_of_many_genes_are_learnt_faster_than_with_a_full_covariance() -> None:
    assert mean_after("sep_cma", 1500) < 0.7 * mean_after("cma_es", 1500)
