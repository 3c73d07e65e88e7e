import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import EvomergeError
from evomerge.fitness.answers import Answers, Pool
from evomerge.fitness.irt import Bank


@given(st.permutations(range(12)), st.integers(0, 12))
def test_answers_forget_the_order_in_which_they_came(order: list[int], cut: int) -> None:
    items = np.array(order)
    answers = Answers.none().also(items[:cut], items[:cut] / 12).also(items[cut:], items[cut:] / 12)
    assert answers.items_I.tolist() == list(range(12))
    assert answers.scores_I.tolist() == [item / 12 for item in range(12)]


def test_what_was_not_asked_is_unseen() -> None:
    answers = Answers.none().also(np.array([4, 1]), np.array([0.5, 1], np.float32))
    assert len(answers) == 2
    assert answers.unseen(6).tolist() == [0, 2, 3, 5]


def test_an_item_is_asked_once() -> None:
    with pytest.raises(EvomergeError, match="asked twice"):
        Answers.none().also(np.array([1]), np.ones(1)).also(np.array([2, 1]), np.ones(2))
    with pytest.raises(EvomergeError, match="1 scores for 2 items"):
        Answers.none().also(np.array([1, 2]), np.ones(1))


def test_a_pool_is_of_one_set_of_items(bank: Bank) -> None:
    with pytest.raises(EvomergeError, match="A bank of 160 items for 3"):
        Pool(3, bank)
    with pytest.raises(EvomergeError, match=r"shape \(2, 4\) for 3 items"):
        Pool(3, parents_PN=np.zeros((2, 4)))
    with pytest.raises(EvomergeError, match=r"A parent's score lies outside \[0, 1\]"):
        Pool(3, parents_PN=np.array([[0, 1, np.nan]]))
