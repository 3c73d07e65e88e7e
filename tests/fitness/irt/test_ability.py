import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.fitness.irt.ability import GRID_K, expected_ability, most_likely, most_probable, normal, posterior
from evomerge.fitness.irt.model import Floats, ItemParameters

NUM_ITEMS = 30


def items(num_dimensions: int, seed: int = 0) -> ItemParameters:
    rng = np.random.default_rng(seed)
    discriminations = rng.uniform(0.5, 2, (NUM_ITEMS, num_dimensions))
    return ItemParameters(discriminations, rng.normal(0, 1, NUM_ITEMS), np.zeros(NUM_ITEMS))


def answers(parameters: ItemParameters, ability: Floats, seed: int) -> Floats:
    chances = np.random.default_rng(seed).random(NUM_ITEMS)
    return (chances < parameters.probabilities(ability[None])[0]).astype(float)


def test_a_posterior_is_prior_times_likelihood() -> None:
    parameters, scores = items(1), answers(items(1), np.array([0.4]), 1)
    plain = []
    for node, prior in zip(GRID_K, normal(0.2, 0.7), strict=True):
        right = parameters.probabilities(np.array([[node]]))[0]
        plain.append(prior * np.prod(np.where(scores == 1, right, 1 - right)))
    found = posterior(parameters, scores, normal(0.2, 0.7))
    assert found == pytest.approx(np.array(plain) / sum(plain))
    mean, sd = expected_ability(found)
    assert mean == pytest.approx(sum(GRID_K * found))
    assert sd**2 == pytest.approx(sum(GRID_K**2 * found) - mean**2)


@settings(max_examples=30)
@given(st.integers(0, 2**NUM_ITEMS - 1), st.integers(0, NUM_ITEMS - 1))
def test_one_more_right_answer_never_lowers_the_expected_ability(pattern: int, item: int) -> None:
    scores = np.array([pattern >> index & 1 for index in range(NUM_ITEMS)], float)
    lower, higher = scores.copy(), scores.copy()
    lower[item], higher[item] = 0, 1
    expected = [expected_ability(posterior(items(1), each, normal()))[0] for each in (lower, higher)]
    assert -4 <= expected[0] < expected[1] <= 4


def test_the_most_likely_ability_has_no_gradient() -> None:
    parameters = items(2)
    scores = answers(parameters, np.array([0.5, -0.5]), 4)
    ability = most_likely(parameters, scores)
    surplus = scores - parameters.probabilities(ability[None])[0]
    assert parameters.discriminations_ND.T @ surplus == pytest.approx(np.zeros(2), abs=1e-3)


def test_the_most_likely_combination_is_one_of_the_parents() -> None:
    parameters, parents = items(3), np.array([[1.0, 0.2, -0.3], [-0.5, 0.4, 0.1]])
    ability = most_likely(parameters, answers(parameters, parents.mean(0), 2), parents)
    weights, *_ = np.linalg.lstsq(parents.T, ability, rcond=None)
    assert weights @ parents == pytest.approx(ability)


def test_the_most_probable_ability_balances_answers_and_prior() -> None:
    parameters, mean, precision = items(2), np.array([0.2, 0.1]), np.array([[2.0, 0.3], [0.3, 1.0]])
    scores = answers(parameters, np.array([1.0, 0.0]), 3)
    ability = most_probable(parameters, scores, mean, precision)
    surplus = scores - parameters.probabilities(ability[None])[0]
    assert parameters.discriminations_ND.T @ surplus == pytest.approx(precision @ (ability - mean), abs=1e-6)


def test_all_right_answers_leave_the_estimates_with_a_prior_finite() -> None:
    parameters, scores = items(1), np.ones(NUM_ITEMS)
    assert expected_ability(posterior(parameters, scores, normal()))[0] < 4
    assert np.abs(most_probable(parameters, scores, np.zeros(1), np.eye(1))) < 4
    assert np.isfinite(most_likely(parameters, scores)).all()
