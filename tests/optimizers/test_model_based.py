"""MAP, MM-MO and the screen: what they share, and what is each one's own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.configs import CmaLrConfig, ScreenedConfig
from evomerge.optimizers.gaussian_process import GaussianProcess
from evomerge.optimizers.registry import make_optimizer, read_config
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome
from evomerge.testing.optimizers import MIXED_GENES, Loop

REAL: list[Gene] = [FloatGene(f"weight{i}", 0.0, 1.0) for i in range(3)]
SMALL_MAP = {"name": "map", "inner_population": 20, "generations": 5}


def two_spheres(genome: Genome) -> Scored:
    point = np.array(genome, dtype=float)
    return Scored((float(np.mean((point - 0.3) ** 2)), float(np.mean((point - 0.7) ** 2))))


def run(
    config: Mapping[str, Any], budget: int, judge: Any = two_spheres, seeds: tuple[Genome, ...] = ()
) -> list[Genome]:
    optimizer = make_optimizer(config, REAL, 2, 0, seeds, budget)
    return Loop(optimizer, judge).run(budget, workers=1)


def test_maps_design_has_twice_the_coefficients_of_a_quadratic() -> None:
    optimizer = make_optimizer(SMALL_MAP, REAL, 2, 0, ((0.5, 0.5, 0.5),), 100)
    design = []
    while (genome := optimizer.ask()) is not None:
        design.append(genome)
    assert len(design) == (3 + 1) * (3 + 2)
    assert design[0] == (0.5, 0.5, 0.5)
    bins_N3 = np.floor(np.array(design[1:], dtype=float) * 19)
    assert all(sorted(bins_N) == list(range(19)) for bins_N in bins_N3.T)  # a Latin hypercube


def test_maps_design_takes_half_of_a_small_budget() -> None:
    optimizer = make_optimizer({"name": "map", "population": 4}, REAL, 2, 0, (), 20)
    asked = 0
    while optimizer.ask() is not None:
        asked += 1
    assert asked == 10


@pytest.mark.parametrize("config", [{"name": "map"}, {"name": "mm_mo", "population": 10}], ids=["map", "mm_mo"])
def test_what_follows_the_design_lies_near_the_front(config: Mapping[str, Any]) -> None:
    late_N2 = np.sqrt([two_spheres(genome).losses for genome in run(config, 40)[-10:]])
    # The front is the segment between the two centres, on which the distances to both add up to theirs: 0.4.
    assert np.median(late_N2.sum(axis=1)) < 0.45


def test_a_favourite_is_a_good_compromise() -> None:
    for config in ({"name": "map"}, {"name": "mm_mo", "population": 10}):
        optimizer = make_optimizer(config, REAL, 2, 0, (), 40)
        Loop(optimizer, two_spheres).run(40, workers=1)
        favourite = optimizer.favourite()
        assert favourite is not None
        assert sum(two_spheres(favourite).losses) < 0.1  # 0.08 at best


def test_sparsity_draws_genes_to_zero() -> None:
    def mean(config: Mapping[str, Any]) -> float:
        return float(np.mean(np.array(run(config, 40)[-20:], dtype=float)))

    assert (
        mean({"name": "mm_mo", "population": 10, "sparsity": True}) < mean({"name": "mm_mo", "population": 10}) - 0.05
    )


def test_standard_errors_are_heeded() -> None:
    """Wild losses with their true errors beside them lead nowhere else than to the optimum."""

    def judge(genome: Genome, errors: tuple[float, ...]) -> Scored:
        is_wild = sum(float(value) * 1e4 % 1 for value in genome) / 3 > 0.55
        losses = (0.0, 0.0) if is_wild else two_spheres(genome).losses
        return Scored(losses, errors=errors if is_wild else (0.001,) * len(errors))

    def distance(errors: tuple[float, ...]) -> float:
        optimizer = make_optimizer({"name": "mm_mo", "population": 10}, REAL, 2, 0, (), 40)
        Loop(optimizer, lambda genome: judge(genome, errors)).run(40, workers=1)
        return sum(two_spheres(optimizer.favourite() or ()).losses)

    assert distance((1.0, 1.0)) < 0.1 < distance((0.001, 0.001))


def test_a_process_knows_what_it_was_told_and_doubts_the_rest() -> None:
    points_N1 = np.array([[0.0], [0.1], [0.2], [0.3], [0.4]])
    process = GaussianProcess(points_N1, np.sin(6 * points_N1[:, 0]), np.zeros(5))
    mean_2, deviation_2 = process.predict(np.array([[0.2], [1.0]]))
    assert mean_2[0] == pytest.approx(np.sin(1.2), abs=0.05)
    assert deviation_2[0] < 0.1 < deviation_2[1]


def test_the_screen_tries_a_share_of_each_generation() -> None:
    config = {"name": "screened", "driver": {"name": "nsga2", "population": 12}, "keep": 0.25, "startup": 12}
    optimizer = make_optimizer(config, MIXED_GENES, 1, 0, (), 30)
    sizes = []
    for _ in range(3):
        asked = []
        while (genome := optimizer.ask()) is not None:
            asked.append(genome)
        first = sum(sizes)
        sizes.append(len(asked))
        for number, genome in enumerate(asked):
            optimizer.tell(first + number, Scored((float(genome[0]),)))
    assert sizes == [12, 3, 3]


def test_the_screen_finds_more_than_its_driver_alone() -> None:
    def judge(genome: Genome) -> Scored:
        return Scored((float(np.mean((np.array(genome, dtype=float) - 0.3) ** 2)),))

    def best(config: Mapping[str, Any]) -> float:
        found = []
        for seed in range(2):
            genomes = Loop(make_optimizer(config, REAL, 1, seed, (), 45), judge).run(45, workers=1)
            found.append(min(judge(genome).losses[0] for genome in genomes))
        return sum(found)

    driver = {"name": "random", "population": 15}
    assert best({"name": "screened", "driver": driver, "startup": 15}) < best(driver)


def test_the_screens_driver_is_checked_like_any_other() -> None:
    with pytest.raises(ConfigError, match=r'optimizer\.driver: there is no driver "cma_l"\. Did you mean'):
        read_config({"name": "screened", "driver": {"name": "cma_l"}})
    with pytest.raises(ConfigError, match=r"optimizer\.driver\.population: 2 is outside"):
        read_config({"name": "screened", "driver": {"name": "nsga2", "population": 2}})
    for name in ("screened", "m2n2"):
        with pytest.raises(ConfigError, match="there is no driver"):
            read_config({"name": "screened", "driver": {"name": name}})
    assert read_config({"name": "screened", "driver": "cma_lr"}) == ScreenedConfig(driver=CmaLrConfig())
    with pytest.raises(ConfigError, match=r"optimizer\.driver: there is no driver"):
        read_config({"name": "screened", "driver": ["cma_lr"]})
    config = ScreenedConfig(driver=CmaLrConfig())
    with pytest.raises(ConfigError, match="moves real numbers only"):
        make_optimizer(config, [*REAL, ChoiceGene("vote", ("none", "sign"))], 1, 0, (), 10)
