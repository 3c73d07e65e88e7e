import math

import numpy as np
import pytest
from scipy.stats import norm

from evomerge.fitness.power import (
    Spread,
    best_of,
    expected_maximum,
    smallest_difference,
    true_sd,
)


def answers(chances_C: list[float], num_items: int, shared: float, rng: np.random.Generator) -> np.ndarray:
    """Right and wrong answers of candidates that mostly err on the same items."""
    latent_CI = math.sqrt(shared) * rng.normal(size=num_items)
    latent_CI = latent_CI + math.sqrt(1 - shared) * rng.normal(size=(len(chances_C), num_items))
    return (latent_CI < norm.ppf(np.array(chances_C))[:, None]).astype(float)


def test_the_spread_of_pairs_is_told_from_the_covariances() -> None:
    scores_CI = answers([0.4, 0.6, 0.7], 50, 0.8, np.random.default_rng(0))
    spread = Spread.of(scores_CI)
    differences = [scores_CI[a] - scores_CI[b] for a, b in [(0, 1), (0, 2), (1, 2)]]
    assert spread.own == pytest.approx(scores_CI.var(axis=1, ddof=1).mean())
    assert spread.difference == pytest.approx(np.mean([difference.var(ddof=1) for difference in differences]))
    assert spread.difference < spread.own  # of unrelated candidates it would be twice as large


def test_equal_candidates_differ_by_nothing() -> None:
    one_I = np.array([0.0, 1.0, 1.0])
    assert Spread.of(np.array([one_I, one_I])).difference == 0


@pytest.mark.parametrize("is_paired", [True, False])
def test_the_smallest_difference_is_seen_four_times_in_five(is_paired: bool) -> None:
    """By a z-test at 5 % on two candidates whose answers are drawn anew, on common items or on others."""
    rng, num_items, repeats = np.random.default_rng(1), 400, 1500
    spread = Spread.of(answers([0.5, 0.5], 50_000, 0.8, rng))
    variance = spread.difference if is_paired else 2 * spread.own
    wanted = smallest_difference(math.sqrt(variance / num_items))
    seen = 0
    for _ in range(repeats):
        first_I, second_I = answers([0.5 - wanted / 2, 0.5 + wanted / 2], num_items, 0.8, rng)
        if is_paired:
            difference_I = second_I - first_I
            z = difference_I.mean() / math.sqrt(difference_I.var(ddof=1) / num_items)
        else:
            other_I = answers([0.5 - wanted / 2], num_items, 0.8, rng)[0]
            errors = [scores_I.var(ddof=1) / num_items for scores_I in (second_I, other_I)]
            z = (second_I.mean() - other_I.mean()) / math.sqrt(sum(errors))
        seen += abs(z) > norm.ppf(0.975)
    assert seen / repeats == pytest.approx(0.8, abs=0.035)


def test_the_expected_maximum() -> None:
    assert expected_maximum(1) == 0
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi))  # exact
    assert expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi))  # exact
    assert expected_maximum(1000) == pytest.approx(3.2414, abs=1e-3)  # Harter (1961), table 1


@pytest.mark.parametrize(("number", "tau", "sigma"), [(20, 0.04, 0.02), (200, 0.01, 0.03), (5, 0.02, 0.0)])
def test_the_best_of_many_by_simulation(number: int, tau: float, sigma: float) -> None:
    rng = np.random.default_rng(2)
    truth_RC = rng.normal(0, tau, (5000, number))
    seen_RC = truth_RC + rng.normal(0, sigma, truth_RC.shape) + rng.normal(0, 0.1, (len(truth_RC), 1))  # shared: no say
    winners_R = seen_RC.argmax(1)[:, None]
    gain = np.take_along_axis(truth_RC, winners_R, 1).mean()
    flattery = (np.take_along_axis(seen_RC - truth_RC, winners_R, 1).mean()) - (seen_RC - truth_RC).mean()
    expected = best_of(number, tau, sigma)
    assert expected.gain == pytest.approx(gain, abs=5e-4)
    assert expected.optimism == pytest.approx(flattery, abs=5e-4)


def test_without_any_spread_nothing_is_won() -> None:
    assert best_of(50, 0.0, 0.0).gain == best_of(50, 0.0, 0.1).gain == 0


def test_noise_is_taken_out_of_the_spread_of_candidates() -> None:
    rng = np.random.default_rng(3)
    observed_RC = rng.normal(0, 0.03, (4000, 6)) + rng.normal(0, 0.02, (4000, 6)) + rng.normal(0, 1, (4000, 1))
    squares = [true_sd(values_C, 0.02**2) ** 2 for values_C in observed_RC]
    assert np.mean(squares) == pytest.approx(0.03**2, rel=0.05)
    assert true_sd(np.array([0.5, 0.51]), 0.1) == 0
