import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evomerge.fitness.measures import Agreement, Reply, agreement

MEASURE = Agreement.model_validate({"with": "math"})


def chosen(log_likelihoods: list[float], lengths: list[int], per: str) -> float:
    sizes_C = np.array(lengths, float)
    reply = Reply(log_likelihoods_C=np.array(log_likelihoods), characters_C=sizes_C, bytes_C=sizes_C)
    return Agreement.model_validate({"with": "math", "per": per}).of(reply)


def test_a_choice_goes_by_its_position() -> None:
    assert chosen([-6.0, -4.0], [3, 1], "answer") == 1
    assert chosen([-6.0, -4.0], [3, 1], "byte") == 0


@given(st.text(), st.text())
def test_a_text_goes_by_what_the_filter_took_but_for_space(one: str, other: str) -> None:
    first, second = (MEASURE.of(Reply(written="…", taken=text)) for text in (one, other))
    assert (first == second) == (one.split() == other.split())
    assert np.float32(first) == first  # exact where it is kept
    assert 0 <= first < 2**24


def test_scores_are_one_where_the_answers_are_the_same() -> None:
    scores_I = agreement(np.float32([3, 16777215, 0]), np.float32([3, 16777214, 0]))
    assert scores_I.tolist() == [1, 0, 1]
    assert scores_I.dtype == np.float32


def test_it_says_what_it_is() -> None:
    assert MEASURE.words == "agreement with math"
