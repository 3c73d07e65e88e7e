"""Numbers, sums and the two languages."""

import random

from hypothesis import given
from hypothesis import strategies as st

from evomerge.checkpoints.zoo.numbers import digits, english, japanese
from evomerge.checkpoints.zoo.stories import Sum, draw_story, draw_sum

randoms = st.randoms(use_true_random=False)


def test_numbers_are_said_as_people_say_them() -> None:
    assert [digits(number) for number in (0, 7, 42, 99)] == ["0 0", "0 7", "4 2", "9 9"]
    assert [english(number) for number in (0, 13, 20, 42)] == ["zero", "thirteen", "twenty", "forty two"]
    assert [japanese(number) for number in (0, 10, 13, 20, 42)] == ["rei", "juu", "juu san", "ni juu", "yon juu ni"]


def test_no_two_numbers_are_said_alike() -> None:
    for say in (digits, english, japanese):
        assert len({say(number) for number in range(100)}) == 100


@given(randoms)
def test_a_sum_stays_in_range_and_is_its_key(rng: random.Random) -> None:
    drawn = draw_sum(rng)
    assert all(0 <= number < 100 for number in (drawn.left, drawn.right, drawn.result))
    assert Sum.parse(drawn.key) == drawn


def test_a_sum_shows_its_working() -> None:
    assert Sum("+", 12, 3).solution == "1 2 + 0 3 = 1 5"
    assert Sum("-", 12, 3).solution == "1 2 - 0 3 = 0 9"
    assert Sum("-", 12, 3).key == "12-3"


@given(randoms)
def test_both_languages_tell_the_same_sum_in_the_same_order(rng: random.Random) -> None:
    story = draw_story(rng)
    for text, say in ((story.english, english), (story.japanese, japanese)):
        assert "{" not in text
        left, right = f" {say(story.sum.left)} ", f" {say(story.sum.right)} "
        start = f" {text} ".index(left)
        assert right in f" {text} "[start + len(left) - 1 :]
