from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from evomerge.errors import EvomergeError
from evomerge.fitness.irt import Bank, fit_bank, recalibrate
from evomerge.fitness.irt.ability import expected_ability, normal, posterior

NAMES: dict[str, Any] = {"task": "sums", "task_version": "1.0", "metric": "acc"}
NUM_ITEMS, NUM_CANDIDATES, NUM_ASKED = 120, 80, 40


class World:
    """A 2PL, few calibration models, and candidates of one run: all alike, all better than those."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.slopes_N, self.difficulties_N = np.exp(rng.normal(0, 0.3, NUM_ITEMS)), rng.normal(0, 1.5, NUM_ITEMS)
        self.whole_CN = self._answers(rng.normal(1.2, 0.4, NUM_CANDIDATES), rng)
        self.bank = self._bank(self._answers(rng.normal(0, 1, 8), rng))
        asked_CN = rng.random((NUM_CANDIDATES, NUM_ITEMS)).argsort(1) < NUM_ASKED
        self.rows = {f"c{index}": row for index, row in enumerate(np.where(asked_CN, self.whole_CN, np.nan))}

    def _answers(self, abilities_M: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        right_MN = expit(abilities_M[:, None] * self.slopes_N - self.difficulties_N)
        return (rng.random(right_MN.shape) < right_MN).astype(float)

    def _bank(self, responses_MN: np.ndarray) -> Bank:
        digests = [f"{index * 31 % 997:016x}" for index in range(NUM_ITEMS)]
        return fit_bank({str(index): row for index, row in enumerate(responses_MN)}, digests, **NAMES)

    def surprise(self, bank: Bank) -> float:
        """Mean negative log-likelihood of candidates' answers that were not seen, predicted from those that were."""
        nats = []
        for whole_N, seen_N in zip(self.whole_CN, self.rows.values(), strict=True):
            seen_I, unseen_I = np.flatnonzero(~np.isnan(seen_N)), np.flatnonzero(np.isnan(seen_N))
            weights_K = posterior(bank.parameters.take(seen_I), seen_N[seen_I], normal())
            ability = expected_ability(weights_K)[0]
            (right_I,) = bank.parameters.take(unseen_I).probabilities(np.array([[ability]]))
            nats.append(-np.log(np.where(whole_N[unseen_I] > 0, right_I, 1 - right_I)).mean())
        return float(np.mean(nats))


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=0)


def test_a_bank_learns_from_a_run(world: World) -> None:
    again = recalibrate(world.bank, world.rows)
    assert world.surprise(again) < world.surprise(world.bank) - 0.02
    known = again.provenance
    assert (len(known.models), known.num_candidates, known.models[-1]) == (8 + NUM_CANDIDATES, NUM_CANDIDATES, "c79")
    assert again.responses_MN.shape == (8 + NUM_CANDIDATES, NUM_ITEMS)
    assert again.digest != world.bank.digest


def test_the_same_answers_give_the_same_bits(world: World) -> None:
    again, twice = (recalibrate(world.bank, world.rows) for _ in range(2))
    assert again.digest == twice.digest


def test_step_by_step_is_all_at_once(world: World) -> None:
    some = dict(list(world.rows.items())[:30])
    first = recalibrate(world.bank, some | {"c0": np.where(np.arange(NUM_ITEMS) < 3, some["c0"], np.nan)})
    assert recalibrate(first, world.rows).digest == recalibrate(world.bank, world.rows).digest


def test_candidates_have_their_own_mean_and_leave_the_scale_alone(world: World) -> None:
    """One N(0, 1) for all would take candidates of 1.2 ± 0.4 for average, and every item for as much harder."""
    bank = recalibrate(world.bank, world.rows)
    everyone = fit_bank(
        dict(zip(bank.provenance.models, bank.responses_MN, strict=True)),
        bank.provenance.items,
        **NAMES,
    )
    shift = np.mean(bank.parameters.difficulties_N - world.difficulties_N)
    shift_of_one_group = np.mean(everyone.parameters.difficulties_N - world.difficulties_N)
    assert abs(shift) < abs(shift_of_one_group) / 2


def test_who_was_asked_nothing_says_nothing(world: World) -> None:
    assert recalibrate(world.bank, {}) is world.bank
    assert recalibrate(world.bank, {"c": np.full(NUM_ITEMS, np.nan)}) is world.bank


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"c": np.zeros(3)}, "c has 3 scores for a bank of 120 items"),
        ({"c": np.full(NUM_ITEMS, 1.5)}, r"c has scores outside \[0, 1\]"),
        ({"3": np.zeros(NUM_ITEMS)}, "3 is the name of a calibration model"),
    ],
)
def test_what_cannot_be_used_is_refused(world: World, rows: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(EvomergeError, match=message):
        recalibrate(world.bank, rows)
