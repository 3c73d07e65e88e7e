import numpy as np
import pytest

from evomerge.fitness.irt.em import fit_unidimensional
from evomerge.fitness.irt.model import Floats, ItemParameters


def known(num_items: int, guess: float = 0.0) -> ItemParameters:
    rng = np.random.default_rng(5)
    slopes = np.exp(rng.normal(0, 0.4, (num_items, 1)))
    return ItemParameters(slopes, rng.normal(0, 1, num_items), np.full(num_items, guess))


def responses(parameters: ItemParameters, num_models: int) -> Floats:
    rng = np.random.default_rng(6)
    right = parameters.probabilities(rng.normal(size=(num_models, 1)))
    return (rng.random(right.shape) < right).astype(float)


def test_em_finds_the_parameters_that_made_the_responses() -> None:
    truth = known(40)
    found = fit_unidimensional(responses(truth, 1500), "2pl")
    assert np.abs(found.difficulties_N - truth.difficulties_N).mean() < 0.1
    assert np.abs(np.log(found.discriminations_ND / truth.discriminations_ND)).mean() < 0.12
    assert (found.guesses_N == 0).all()


def test_the_one_parameter_model_has_a_common_slope() -> None:
    truth = ItemParameters(np.full((40, 1), 1.4), known(40).difficulties_N, np.zeros(40))
    found = fit_unidimensional(responses(truth, 1000), "1pl")
    assert np.ptp(found.discriminations_ND) == 0
    assert found.discriminations_ND[0, 0] == pytest.approx(1.4, rel=0.1)
    assert np.abs(found.difficulties_N - truth.difficulties_N).mean() < 0.15


def test_the_three_parameter_model_sees_guessing() -> None:
    truth = known(40, guess=0.25)
    matrix = responses(truth, 1500)
    three, two = fit_unidimensional(matrix, "3pl"), fit_unidimensional(matrix, "2pl")
    assert three.guesses_N.mean() == pytest.approx(0.25, abs=0.08)
    errors = [np.abs(np.log(fit.discriminations_ND / truth.discriminations_ND)).mean() for fit in (three, two)]
    assert errors[0] < errors[1]


def test_items_that_were_not_asked_do_not_count() -> None:
    truth = known(40)
    matrix = responses(truth, 1200)
    holes = np.where(np.random.default_rng(1).random(matrix.shape) < 0.4, np.nan, matrix)
    found = fit_unidimensional(holes, "2pl")
    assert np.abs(found.difficulties_N - truth.difficulties_N).mean() < 0.12


def test_few_models_leave_parameters_within_reason() -> None:
    found = fit_unidimensional(responses(known(40), 8), "2pl")
    assert np.abs(found.difficulties_N).max() < 6
    assert ((found.discriminations_ND > 0.2) & (found.discriminations_ND < 4)).all()
