import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.fitness.measures import Margin, Reply

odds = st.lists(st.floats(-80, -0.01), min_size=2, max_size=6)


def reply(log_likelihoods: list[float], right: set[int], lengths: list[int] | None = None) -> Reply:
    sizes_C = np.array(lengths or [1] * len(log_likelihoods), float)
    return Reply(
        log_likelihoods_C=np.array(log_likelihoods),
        characters_C=sizes_C,
        bytes_C=3 * sizes_C,  # as of kana
        right=frozenset(right),
        where="tasks.t: document 7",
    )


def test_it_is_the_right_choice_less_the_best_wrong_one() -> None:
    assert Margin(per="answer").of(reply([-3.0, -1.0, -2.5], {0})) == -2.0
    assert Margin(per="answer").of(reply([-3.0, -1.0, -2.5], {1})) == 1.5
    assert Margin(per="answer").of(reply([-3.0, -1.0, -2.5], {0, 1})) == 1.5  # the best of the right ones counts


def test_lengths_divide_each_log_likelihood() -> None:
    asked = reply([-6.0, -4.0], {0}, lengths=[3, 1])
    assert Margin(per="answer").of(asked) == -2.0
    assert Margin(per="character").of(asked) == pytest.approx(-6 / 3 + 4)
    assert Margin().of(asked) == pytest.approx((-6 / 3 + 4) / 3)


@given(odds, st.data())
def test_it_is_positive_where_the_model_is_right(log_likelihoods: list[float], data: st.DataObject) -> None:
    right = data.draw(st.integers(0, len(log_likelihoods) - 1))
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=len(log_likelihoods), max_size=len(log_likelihoods)))
    preferences_C = np.array(log_likelihoods) / lengths
    margin = Margin(per="character").of(reply(log_likelihoods, {right}, lengths))
    if margin > 0:
        assert preferences_C.argmax() == right
    if margin < 0:
        assert preferences_C.argmax() != right


@given(odds, st.floats(0.01, 10))
def test_the_soft_margin_keeps_the_order_and_lies_in_the_unit_interval(
    given_odds: list[float], softness: float
) -> None:
    asked = reply(given_odds, {0})
    plain, soft = Margin(per="answer").of(asked), Margin(per="answer", softness=softness).of(asked)
    assert 0 <= soft <= 1
    assert soft == pytest.approx(1 / (1 + math.exp(min(700, -plain / softness))), abs=1e-12)


def test_an_item_without_a_wrong_or_a_right_choice_has_none() -> None:
    for right, number in (({0, 1}, 2), (set(), 0)):
        with pytest.raises(ConfigError) as caught:
            Margin().of(reply([-1.0, -2.0], right))
        assert str(caught.value) == (
            f"tasks.t: document 7: {number} of 2 choices are right. A margin takes a right and a wrong one. "
            "Mend the task's data."
        )


def test_it_says_what_it_is() -> None:
    assert Margin().words == "margin in nats per byte"
    assert parse(Margin, {"name": "margin", "per": "answer", "softness": 0.5}, "f").words == "soft margin"
