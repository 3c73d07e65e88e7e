"""Facts: remembered, and the same as computed anew."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.facts import Facts
from evomerge.merging.order import largest


@given(st.integers(0, 2**31), st.lists(st.integers(1, 100_000), min_size=1, max_size=5))
def test_tables_answer_every_question_exactly(seed: int, questions: list[int]) -> None:
    """Differences of bfloat16 numbers take few values, so that the second question makes a table."""
    one, other = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(seed)).mul(0.02).bfloat16()
    delta = (one + other / 16).float() - one.float()
    facts = Facts()
    for num_kept in (500, *questions):
        assert facts.largest("key", lambda: delta.split(7_000), num_kept, delta.numel()) == largest(delta, num_kept)


def test_what_has_no_small_table_is_answered_all_the_same() -> None:
    delta = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    for room_bytes, num_kept in itertools.product((0, 1 << 20), (1, 70_000, 200_000)):
        facts = Facts(room_bytes)
        assert facts.largest("key", lambda: delta.split(9_000), 5, delta.numel()) == largest(delta, 5)
        assert facts.largest("key", lambda: delta.split(9_000), num_kept, delta.numel()) == largest(delta, num_kept)


def test_a_value_is_computed_once_per_key() -> None:
    facts, calls = Facts(), list[str]()
    for key in ("a", "b", "a"):
        assert facts.once(key, lambda key=key: calls.append(key) or len(calls)) == {"a": 1, "b": 2}[key]  # type: ignore[misc]
    assert calls == ["a", "b"]
