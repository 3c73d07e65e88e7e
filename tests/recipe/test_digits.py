"""Digits: numbers that are merged alike are written alike."""

import pytest

from evomerge.recipe.digits import significant


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1 / 3, "0.333333333"), (0.1 + 0.2, "0.3"), (-0.0, "0.0"), (123456789012.0, "123456789000.0")],
)
def test_nine_digits_count(value: float, expected: str) -> None:
    assert repr(significant(value)) == expected
