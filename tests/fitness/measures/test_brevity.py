from hypothesis import given
from hypothesis import strategies as st

from evomerge.fitness.measures import Brevity, Reply


def test_it_is_one_for_nothing_and_a_half_at_the_half_length() -> None:
    brevity = Brevity(half_length=4)
    assert [brevity.of(Reply(written=text)) for text in ("", " \n", "四文字だ", " four ", "x" * 12)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
    ]
    assert brevity.words == "brevity (1/2 at 4 characters)"


@given(st.integers(0, 10**5), st.integers(0, 10**5), st.floats(1e-3, 1e4))
def test_the_longer_the_less_but_never_nothing(one: int, other: int, half_length: float) -> None:
    brevity = Brevity(half_length=half_length)
    short, long = (brevity.of(Reply(written="x" * length)) for length in sorted((one, other)))
    assert 0 < long <= short <= 1
    assert (long < short) == (one != other)
