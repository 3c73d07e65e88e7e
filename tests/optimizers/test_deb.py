from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.optimizers.base import Scored
from evomerge.optimizers.deb import single_loss, violation

LOSSES = st.floats(allow_nan=False, allow_infinity=False)
EXCESSES = st.floats(min_value=1e-12, max_value=1e300)


def test_only_what_is_broken_counts() -> None:
    assert violation(Scored((0.0,), (-3.0, 0.5, 0.0, 0.25))) == 0.75
    assert violation(Scored((0.0,))) == 0


@settings(deadline=None)
@given(LOSSES, LOSSES)
def test_feasible_candidates_are_ordered_by_loss(one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert single_loss(Scored((smaller,), (-1.0,))) <= single_loss(Scored((larger,)))


@settings(deadline=None)
@given(LOSSES, LOSSES, EXCESSES)
def test_a_feasible_candidate_beats_an_infeasible_one(feasible: float, infeasible: float, excess: float) -> None:
    assert single_loss(Scored((feasible,))) < single_loss(Scored((infeasible,), (excess,)))


@settings(deadline=None)
@given(LOSSES, LOSSES, EXCESSES, EXCESSES)
def test_infeasible_candidates_are_ordered_by_violation(one: float, other: float, a: float, b: float) -> None:
    smaller, larger = sorted((a, b))
    assert single_loss(Scored((one,), (smaller,))) <= single_loss(Scored((other,), (larger,)))


def test_close_scores_stay_apart() -> None:
    assert single_loss(Scored((0.501,))) - single_loss(Scored((0.5,))) > 1e-4
    assert single_loss(Scored((1000.001,))) > single_loss(Scored((1000.0,)))
