import math

import numpy as np
import pytest

from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.parents import ParentModel
from evomerge.testing.responses import Simulated

PARENTS = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
NOTHING = np.empty(0, np.intp), np.empty(0)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_without_answers_a_child_follows_its_parents() -> None:
    model = ParentModel.of(PARENTS)
    effects, covariance = model.posterior(*NOTHING)
    # w = (.51, 0, 2.18, 1.31) on [1, logit, agreement, unanimous agreement].
    wanted = [sigmoid(0.51 + 2.18 + 1.31), sigmoid(0.51), sigmoid(0.51), sigmoid(0.51 - 2.18 - 1.31)]
    assert model.probabilities(effects) == pytest.approx(wanted)
    assert covariance == pytest.approx(np.diag([0.68**2, 0.72, 0.72]))


def test_a_lean_moves_the_items_on_which_the_parents_differ() -> None:
    model = ParentModel.of(PARENTS)
    first, second = model.probabilities(np.array([0, 1.0, 0])), model.probabilities(np.array([0, 0, 1.0]))
    assert first[1] == pytest.approx(sigmoid(0.51 + 0.5))
    assert first[2] == pytest.approx(sigmoid(0.51 - 0.5))
    assert second[[2, 1]] == pytest.approx(first[[1, 2]])
    assert first[[0, 3]] == pytest.approx(model.probabilities(np.zeros(3))[[0, 3]])


def test_the_posterior_balances_answers_and_prior(simulated: Simulated, bank: Bank) -> None:
    model = ParentModel.of(simulated.parents_PN, bank.parameters)
    items = np.arange(0, 160, 4)
    scores = simulated.candidates_CN[0, items]
    effects, covariance = model.posterior(items, scores)
    right = model.probabilities(effects)[items]
    assert model.effects_NE[items].T @ (scores - right) == pytest.approx(model.precision_E * effects, abs=1e-6)
    curvature = sum(p * (1 - p) * np.outer(row, row) for p, row in zip(right, model.effects_NE[items], strict=True))
    assert covariance == pytest.approx(np.linalg.inv(curvature + np.diag(model.precision_E)))


def test_the_order_of_the_parents_has_no_say(simulated: Simulated, bank: Bank) -> None:
    items = np.arange(40)
    scores = simulated.candidates_CN[1, items]
    for parameters in (None, bank.parameters):
        models = [ParentModel.of(parents, parameters) for parents in (simulated.parents_PN, simulated.parents_PN[::-1])]
        straight, turned = (model.probabilities(model.posterior(items, scores)[0]) for model in models)
        assert straight == pytest.approx(turned, abs=1e-9)


def test_three_parents_and_a_single_one_are_possible(simulated: Simulated) -> None:
    for parents in (simulated.parents_PN[:1], np.vstack([simulated.parents_PN, simulated.candidates_CN[:1]])):
        model = ParentModel.of(parents)
        right = model.probabilities(model.posterior(np.arange(20), simulated.candidates_CN[2, :20])[0])
        assert ((right > 0) & (right < 1)).all()


def test_a_wider_prior_lets_answers_say_more(simulated: Simulated) -> None:
    items, scores = np.arange(30), np.zeros(30)
    narrow, wide = (ParentModel.of(simulated.parents_PN, widening=factor) for factor in (1.0, 2.0))
    assert wide.precision_E == pytest.approx(np.append(narrow.precision_E / 4, 0.25))  # and the trust in agreement
    assert wide.effects_NE[:, -1] == pytest.approx(simulated.parents_PN.sum(0) - 1)
    means = [model.probabilities(model.posterior(items, scores)[0]).mean() for model in (narrow, wide)]
    assert means[1] < means[0] < ParentModel.of(simulated.parents_PN).probabilities(np.zeros(3)).mean()
