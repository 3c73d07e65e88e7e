"""The strategies on parameter vectors: what they ask, what they keep, and that they learn."""

import random

import numpy as np
import pytest

from evomerge.optimizers.m2n2.dense import Evolution
from evomerge.optimizers.m2n2.dense_cma import DenseSepCma
from evomerge.optimizers.m2n2.map_elites import MapElites
from evomerge.optimizers.m2n2.settings import CODE, PAPER, M2N2Settings

DIMENSION, ITEMS = 20, 60
GROUPS = np.arange(ITEMS) % 2
MUTATING = {"mutation": 0.3}


def score(vectors_BD):
    """An item is solved when the vector lies on the same side of a plane as a hidden one does."""
    rng = np.random.default_rng(7)
    planes_ID, hidden_D = rng.standard_normal((ITEMS, DIMENSION)), rng.standard_normal(DIMENSION)
    return (vectors_BD @ planes_ID.T > 0) == (planes_ID @ hidden_D > 0)


def two_vectors(seed=0, kind=np.float64):
    return np.random.default_rng(seed).standard_normal((2, DIMENSION)).astype(kind)


def evolution(update):
    return lambda seed: Evolution(CODE.model_copy(update=update), two_vectors(), np.random.default_rng(seed))


STRATEGIES = {
    "m2n2": evolution(MUTATING),
    "paper": lambda seed: Evolution(
        PAPER.model_copy(update=MUTATING), two_vectors(), np.random.default_rng(seed), chromosomes=(5, 15)
    ),
    "no attraction": evolution({**MUTATING, "partner": "fitness"}),
    "no split": evolution({**MUTATING, "split": "none"}),
    "fixed split": evolution({**MUTATING, "split": "fixed"}),
    "no crossover": evolution({**MUTATING, "crossover": "none"}),
    "linear": evolution({**MUTATING, "crossover": "linear"}),
    "ga": evolution({**MUTATING, "partner": "fitness", "alpha": 0.0}),
    "map-elites": lambda seed: MapElites(
        CODE.model_copy(update=MUTATING), two_vectors(), GROUPS, np.random.default_rng(seed)
    ),
    "sep-cma": lambda seed: DenseSepCma(two_vectors()[0], 0.3, 10, seed),
}


def evolved(strategy, evaluations):
    asked = []
    while len(asked) < evaluations:
        batch = strategy.ask()
        strategy.tell(score(batch))
        asked.extend(batch)
    return np.array(asked)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_learns_and_repeats_itself_and_touches_no_global_generator(name):
    before = random.getstate(), np.random.get_state()[1].copy()
    strategy = STRATEGIES[name](0)
    asked = evolved(strategy, 600)
    assert score(strategy.best[None]).mean() > score(two_vectors()).mean(axis=1).max() + 0.1
    again = evolved(STRATEGIES[name](0), 600)
    np.testing.assert_array_equal(asked, again)
    assert not np.array_equal(asked, evolved(STRATEGIES[name](1), 600))
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("name", ["m2n2", "map-elites"])
def test_the_first_batch_are_the_seeds_and_then_comes_one_child_at_a_time(name):
    strategy = STRATEGIES[name](0)
    np.testing.assert_array_equal(strategy.ask(), two_vectors())
    strategy.tell(score(strategy.ask()))
    for _ in range(5):
        child = strategy.ask()
        assert child.shape == (1, DIMENSION)
        strategy.tell(score(child))


def test_children_have_the_dtype_of_the_seeds():
    settings = CODE.model_copy(update=MUTATING)
    for strategy in (
        Evolution(settings, two_vectors(kind=np.float32), np.random.default_rng(0)),
        MapElites(settings, two_vectors(kind=np.float32), GROUPS, np.random.default_rng(0)),
        DenseSepCma(two_vectors(kind=np.float32)[0], 0.3, 10, 0),
    ):
        evolved(strategy, 30)
        assert strategy.ask().dtype == np.float32
        assert strategy.best.dtype == np.float32


def test_without_mutation_clones_enter_the_genetic_algorithms_archive_unless_refused():
    spread = {}
    for duplicates in ("keep", "refuse"):
        settings = CODE.model_copy(update={"partner": "fitness", "alpha": 0.0, "duplicates": duplicates})
        strategy = Evolution(settings, two_vectors(), np.random.default_rng(0))
        evolved(strategy, 400)
        members = np.array(strategy.archive.members)
        spread[duplicates] = np.linalg.norm(members[:, None] - members, axis=2)[~np.eye(len(members), dtype=bool)]
    assert spread["keep"].min() < 1e-9
    assert spread["refuse"].min() > 1e-6


def test_while_warming_up_children_are_of_the_seeds():
    settings = M2N2Settings(warm_up=10, crossover="linear", split="none")
    strategy = Evolution(settings, np.eye(2, DIMENSION), np.random.default_rng(0))
    for child in evolved(strategy, 12)[2:]:
        assert child.sum() == pytest.approx(1)
        assert np.count_nonzero(child) == 2


def test_every_cell_of_map_elites_keeps_its_best():
    strategy = STRATEGIES["map-elites"](0)
    scores = score(evolved(strategy, 400))
    expected = {}
    for row in scores.astype(float):
        cell = tuple(min(int(row[group == GROUPS].mean() * 10), 9) for group in (0, 1))
        expected[cell] = max(expected.get(cell, 0), row.mean())
    assert strategy.cells() == pytest.approx(expected)
    assert score(strategy.best[None]).mean() == scores.mean(axis=1).max()


def test_a_perfect_score_falls_into_the_last_cell():
    strategy = STRATEGIES["map-elites"](0)
    strategy.ask()
    strategy.tell(np.ones((2, ITEMS)))
    assert strategy.cells() == {(9, 9): 1.0}
