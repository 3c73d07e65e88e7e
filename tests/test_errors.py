"""The three families of errors."""

import pytest

from evomerge.errors import CandidateFailed, ConfigError, EvomergeError, Problem


def test_all_problems_are_told_at_once_each_on_its_line() -> None:
    error = ConfigError(Problem("a.yaml: genes[2]", "is empty."), Problem("", "Nothing varies."))
    assert str(error) == "a.yaml: genes[2]: is empty.\nNothing varies."
    assert [problem.what for problem in error.problems] == ["is empty.", "Nothing varies."]


def test_a_single_problem_is_an_error() -> None:
    assert str(ConfigError.at("a.yaml", "is empty.")) == "a.yaml: is empty."


def test_no_problem_is_no_error() -> None:
    ConfigError.raise_if_any(iter(()))


def test_problems_are_raised_together() -> None:
    with pytest.raises(ConfigError, match=r"^a: x\nb: y$"):
        ConfigError.raise_if_any(Problem(where, what) for where, what in (("a", "x"), ("b", "y")))


@pytest.mark.parametrize("family", [ConfigError, CandidateFailed])
def test_a_caller_can_catch_everything_of_ours(family: type[EvomergeError]) -> None:
    assert issubclass(family, EvomergeError)


def test_the_user_is_not_blamed_for_a_candidate() -> None:
    assert not issubclass(CandidateFailed, ConfigError)
