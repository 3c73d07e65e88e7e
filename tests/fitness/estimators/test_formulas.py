"""Published estimators against their formulas, written plainly."""

import math

import numpy as np
import pytest

from evomerge.errors import ConfigError, EvomergeError
from evomerge.fitness.answers import Answers, Design, Pool
from evomerge.fitness.estimators import configs
from evomerge.fitness.estimators.ability import Eap, GpIrt, PIrt
from evomerge.fitness.estimators.combination import GmpIrt, MpIrt
from evomerge.fitness.estimators.means import WeightedMean, weighted_mean
from evomerge.fitness.estimators.parent import ParentAware
from evomerge.fitness.estimators.registry import ESTIMATORS, make_estimator
from evomerge.fitness.irt import Bank
from evomerge.fitness.irt.ability import GRID_K, most_likely, normal
from evomerge.fitness.irt.parents import ParentModel
from evomerge.testing.responses import Simulated

N = 160
ASKED = np.arange(0, N, 5)


@pytest.fixture
def answers(simulated: Simulated) -> Answers:
    return Answers.none().also(ASKED, simulated.candidates_CN[2, ASKED])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_a_stratified_mean_weighs_strata_by_their_size() -> None:
    design = Design(np.array([0] * 6 + [1] * 2 + [2] * 4))
    answers = Answers.none().also(np.array([0, 1, 2, 3, 6, 7]), np.array([1, 0, 0, 1, 1, 1.0]))
    value, stderr = weighted_mean(answers, design)
    assert value == pytest.approx(6 / 8 * 0.5 + 2 / 8 * 1)
    common = np.var([1, 0, 0, 1, 1, 1], ddof=1)
    first = (4 * 0.25 + common) / 4
    # The second stratum was asked whole, so it has no error; of the third nothing is known.
    assert stderr == pytest.approx(math.sqrt((6 / 8) ** 2 * (1 - 4 / 6) * first / 4))


def test_random_items_have_the_error_of_a_sample_from_a_finite_population() -> None:
    scores = np.array([0, 1, 1, 0.5, 1])
    answers = Answers.none().also(np.arange(5), scores)
    estimate = WeightedMean(Pool(20), Design(np.zeros(20, np.intp))).estimate(answers)
    assert estimate.value == pytest.approx(0.7)
    assert estimate.stderr == pytest.approx(math.sqrt(np.var(scores, ddof=1) / 5 * (1 - 5 / 20)))


def test_one_answer_and_none(simulated: Simulated) -> None:
    design = Design(np.zeros(9, np.intp))
    assert weighted_mean(Answers.none().also(np.array([3]), np.ones(1)), design)[1] == pytest.approx(
        math.sqrt(0.25 * (1 - 1 / 9))
    )
    with pytest.raises(EvomergeError, match="no answers"):
        weighted_mean(Answers.none(), design)


def test_p_irt(answers: Answers, wide_bank: Bank) -> None:
    a, b = wide_bank.parameters.discriminations_ND, wide_bank.parameters.difficulties_N
    ability = most_likely(wide_bank.parameters.take(ASKED), answers.scores_I)
    predicted = sigmoid(a @ ability - b)
    unseen = [item for item in range(N) if item not in ASKED]
    share = len(ASKED) / N
    estimate = PIrt(Pool(N, wide_bank), wide_bank).estimate(answers)
    assert estimate.value == pytest.approx(share * answers.scores_I.mean() + (1 - share) * predicted[unseen].mean())
    weights = predicted * (1 - predicted)
    information = np.eye(3) + sum(weights[item] * np.outer(a[item], a[item]) for item in ASKED)
    slope = sum(weights[item] * a[item] for item in unseen) / N
    misfit = (1 - share) * wide_bank.provenance.misfit * math.sqrt(math.pi / 2)
    variance = slope @ np.linalg.inv(information) @ slope + weights[unseen].sum() / N**2 + misfit**2
    assert estimate.stderr == pytest.approx(math.sqrt(variance))


def test_gp_irt(answers: Answers, wide_bank: Bank) -> None:
    pool, design = Pool(N, wide_bank), Design(np.arange(N) % 5, variance_gain=4.0)
    b, v = wide_bank.provenance.misfit, wide_bank.responses_MN.var(1).mean()
    share = b**2 / (b**2 + v / (4 * len(ASKED)))
    anchors = weighted_mean(answers, design)[0]
    modelled = PIrt(pool, wide_bank).estimate(answers).value
    estimate = GpIrt(pool, wide_bank, design).estimate(answers)
    assert estimate.value == pytest.approx(share * anchors + (1 - share) * modelled, rel=1e-6)


def test_mp_irt_and_gmp_irt(answers: Answers, wide_bank: Bank, simulated: Simulated) -> None:
    pool, design = Pool(N, wide_bank, simulated.parents_PN), Design(np.zeros(N, np.intp))
    a, b = wide_bank.parameters.discriminations_ND, wide_bank.parameters.difficulties_N
    parents = np.array([most_likely(wide_bank.parameters, row) for row in simulated.parents_PN])
    ability = most_likely(wide_bank.parameters.take(ASKED), answers.scores_I, parents)
    unseen = [item for item in range(N) if item not in ASKED]
    share = len(ASKED) / N
    combined = share * answers.scores_I.mean() + (1 - share) * sigmoid(a @ ability - b)[unseen].mean()
    made = MpIrt.of(pool, design)
    assert made.estimate(answers).value == pytest.approx(combined)
    assert GmpIrt(made).estimate(answers).value == pytest.approx((answers.scores_I.mean() + combined) / 2)


def test_eap_averages_over_the_abilities(answers: Answers, bank: Bank) -> None:
    a, b = bank.parameters.discriminations_ND[:, 0], bank.parameters.difficulties_N
    unseen = [item for item in range(N) if item not in ASKED]
    weights, means, chances = [], [], []
    for node, prior in zip(GRID_K, normal(), strict=True):
        right = sigmoid(a * node - b)
        weights.append(prior * np.prod(np.where(answers.scores_I == 1, right[ASKED], 1 - right[ASKED])))
        means.append(right[unseen].sum() / N)
        chances.append((right * (1 - right))[unseen].sum() / N**2)
    posterior = np.array(weights) / sum(weights)
    estimate = Eap.of(Pool(N, bank), bank).estimate(answers)
    assert estimate.value == pytest.approx(answers.scores_I.sum() / N + posterior @ means)
    spread = posterior @ np.square(means) - (posterior @ means) ** 2
    misfit = (1 - len(ASKED) / N) * bank.provenance.misfit * math.sqrt(math.pi / 2)
    assert estimate.stderr == pytest.approx(math.sqrt(spread + posterior @ chances + misfit**2))


def test_the_parents_give_eap_its_prior(bank: Bank, simulated: Simulated) -> None:
    alone, child = (
        Eap.of(Pool(N, bank, parents), bank).estimate(Answers.none()) for parents in (None, simulated.parents_PN)
    )
    assert child.stderr < alone.stderr
    assert abs(child.value - simulated.parents_PN.mean()) < abs(alone.value - simulated.parents_PN.mean())


def test_the_parent_aware_read_out(answers: Answers, simulated: Simulated) -> None:
    model = ParentModel.of(simulated.parents_PN)
    effects, covariance = model.posterior(ASKED, answers.scores_I)
    right = model.probabilities(effects)
    unseen = [item for item in range(N) if item not in ASKED]
    estimate = ParentAware(Pool(N, parents_PN=simulated.parents_PN), model).estimate(answers)
    assert estimate.value == pytest.approx((answers.scores_I.sum() + right[unseen].sum()) / N)
    slope = sum(right[item] * (1 - right[item]) * model.effects_NE[item] for item in unseen) / N
    chance = (right * (1 - right))[unseen].sum() / N**2
    misfit = 0.015 * (1 - len(ASKED) / N)
    assert estimate.stderr == pytest.approx(math.sqrt(slope @ covariance @ slope + chance + misfit**2))


def test_scores_that_are_no_probabilities_are_refused(pool: Pool) -> None:
    answers = Answers.none().also(np.arange(3), np.array([0, 2.5, 1]))
    for name in ("p_irt", "mp_irt", "eap", "parent"):
        estimator = make_estimator(ESTIMATORS[name].config(), pool, Design(np.zeros(N, np.intp)))
        with pytest.raises(EvomergeError, match=r"A score lies outside \[0, 1\]"):
            estimator.estimate(answers)


def test_what_an_estimator_lacks_is_told(pool: Pool, wide_bank: Bank) -> None:
    with pytest.raises(ConfigError, match="p_irt: needs an item bank"):
        make_estimator(configs.PIrtConfig(), Pool(5), None)
    with pytest.raises(ConfigError, match="parent: needs the parents"):
        make_estimator(configs.ParentConfig(), Pool(5), None)
    with pytest.raises(
        ConfigError, match=r"mean: cannot weigh items that were chosen by the answers\. Take the selector random"
    ):
        make_estimator(configs.MeanConfig(), pool, None)
    with pytest.raises(ConfigError, match="eap: needs a bank of one dimension, and this one has 3"):
        make_estimator(configs.EapConfig(), Pool(N, wide_bank), None)
