import numpy as np
import pytest

from evomerge.fitness.answers import Answers, Pool
from evomerge.fitness.irt import Bank, ItemParameters
from evomerge.fitness.irt.ability import GRID_K, expected_ability, normal, posterior
from evomerge.fitness.irt.parents import ParentModel
from evomerge.fitness.selectors import collect
from evomerge.fitness.selectors.base import Chooser
from evomerge.fitness.selectors.c_optimal import COptimal
from evomerge.fitness.selectors.configs import FisherConfig
from evomerge.fitness.selectors.fisher import MaximumInformation
from evomerge.fitness.selectors.registry import Draw, make_selector
from evomerge.testing.responses import Simulated


def test_fisher_asks_what_says_most_at_the_ability_so_far(bank: Bank, simulated: Simulated) -> None:
    asked = np.array([3, 50, 90, 120])
    answers = Answers.none().also(asked, simulated.candidates_CN[0, asked])
    ability, _ = expected_ability(posterior(bank.parameters.take(asked), answers.scores_I, normal()))
    node = min(GRID_K, key=lambda each: abs(each - ability))
    a, b = bank.parameters.discriminations_ND[:, 0], bank.parameters.difficulties_N
    right = 1 / (1 + np.exp(-(a * node - b)))
    gains = a**2 * right * (1 - right)
    gains[asked] = -1
    selector = MaximumInformation.of(bank, normal(), Chooser(160, top=1, seed=0))
    assert selector.next(answers, 1).tolist() == [gains.argmax()]
    assert sorted(selector.next(answers, 3)) == sorted(np.argsort(-gains)[:3])


def test_adaptive_testing_asks_five_items_a_job(bank: Bank, simulated: Simulated) -> None:
    selector = make_selector(FisherConfig(), Pool(160, bank), 20, Draw(0))
    jobs: list[int] = []

    def ask(items_I: np.ndarray) -> np.ndarray:
        jobs.append(len(items_I))
        return simulated.candidates_CN[0, items_I]

    collect(selector, ask, 18)
    assert jobs == [5, 5, 5, 3]


def variance_of_the_score(model: ParentModel, asked: list[int], right: np.ndarray) -> float:
    """gᵀVg, with g over the items that are left."""
    weights, effects = right * (1 - right), model.effects_NE
    information = np.diag(model.precision_E) + sum(weights[i] * np.outer(effects[i], effects[i]) for i in asked)
    slope = sum(weights[i] * effects[i] for i in range(len(right)) if i not in asked)
    return float(slope @ np.linalg.inv(information) @ slope)


def test_a_c_optimal_item_lowers_the_variance_of_the_score_most(bank: Bank, simulated: Simulated) -> None:
    model = ParentModel.of(simulated.parents_PN[:, :40], bank.parameters.take(np.arange(40)))
    right = model.probabilities(np.zeros(len(model.precision_E)))
    (item,) = COptimal(model, Chooser(40, top=1, seed=0)).next(Answers.none(), 1)
    weights, effects, before = right * (1 - right), model.effects_NE, np.diag(model.precision_E)
    slope = weights @ effects

    def after(index: int) -> float:
        told = before + weights[index] * np.outer(effects[index], effects[index])
        return float(slope @ np.linalg.inv(told) @ slope)

    assert item == min(range(40), key=after)


def test_a_block_leaves_less_variance_than_random_items(bank: Bank, simulated: Simulated) -> None:
    model = ParentModel.of(simulated.parents_PN, bank.parameters)
    right = model.probabilities(np.zeros(len(model.precision_E)))
    block = COptimal(model, Chooser(160, top=1, seed=0)).next(Answers.none(), 10)
    chosen = variance_of_the_score(model, block.tolist(), right)
    rng = np.random.default_rng(0)
    others = [variance_of_the_score(model, rng.permutation(160)[:10].tolist(), right) for _ in range(20)]
    assert len(set(block)) == 10
    assert chosen < 0.8 * min(others)


def test_equal_items_are_chosen_at_random_and_alike_for_everyone(simulated: Simulated) -> None:
    model = ParentModel.of(simulated.parents_PN)  # without a bank there are four kinds of items
    blocks = [COptimal(model, Chooser(160, 1, seed)).next(Answers.none(), 10).tolist() for seed in (0, 0, 1, 2)]
    assert blocks[0] == blocks[1]
    assert len({tuple(block) for block in blocks}) == 3
    assert np.mean(blocks) == pytest.approx(80, abs=30)


def test_a_chooser_draws_from_the_best_that_are_left() -> None:
    gains = np.array([1.0, 5, -np.inf, 4, 3])
    assert Chooser(5, top=1, seed=0).choose(gains, 0) == 1
    drawn = {Chooser(5, top=2, seed=seed).choose(gains, 0) for seed in range(20)}
    assert drawn == {1, 3}
    only = np.array([-np.inf, -np.inf, 0.0])
    assert Chooser(3, top=3, seed=0).choose(only, 2) == 2


def test_an_item_that_says_nothing_is_still_asked_in_the_end() -> None:
    flat = ItemParameters(np.zeros((3, 1)), np.zeros(3), np.zeros(3))
    model = ParentModel(flat.difficulties_N, np.zeros((3, 1)), np.ones(1))
    assert sorted(COptimal(model, Chooser(3, 1, 0)).next(Answers.none(), 3)) == [0, 1, 2]
