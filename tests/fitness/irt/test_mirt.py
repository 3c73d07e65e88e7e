import numpy as np

from evomerge.fitness.irt.ability import most_probable
from evomerge.fitness.irt.mirt import fit_multidimensional
from evomerge.fitness.irt.model import ItemParameters


def test_two_skills_predict_unseen_items_better_than_one() -> None:
    rng = np.random.default_rng(2)
    discriminations = np.zeros((60, 2))
    discriminations[np.arange(60), np.arange(60) % 2] = 2.0  # every other item asks for the other skill
    truth = ItemParameters(discriminations, rng.normal(0, 0.7, 60), np.zeros(60))
    abilities = rng.normal(size=(240, 2))
    right = truth.probabilities(abilities)
    responses = (rng.random(right.shape) < right).astype(float)
    errors = []
    for dimensions in (1, 2):
        fitted = fit_multidimensional(responses[:200], dimensions, seed=0)
        mean, precision, shown = np.zeros(dimensions), np.eye(dimensions), np.arange(40)
        predicted = [
            fitted.probabilities(most_probable(fitted.take(shown), row[:40], mean, precision)[None])[0, 40:]
            for row in responses[200:]
        ]
        errors.append(np.abs(np.array(predicted) - right[200:, 40:]).mean())
    assert errors[1] < 0.75 * errors[0]


def test_the_seed_alone_decides() -> None:
    responses = (np.random.default_rng(0).random((10, 20)) < 0.6).astype(float)
    first, again = fit_multidimensional(responses, 2, seed=4), fit_multidimensional(responses, 2, seed=4)
    assert (first.discriminations_ND == again.discriminations_ND).all()
