import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.fitness.selectors.fixed import strata_of_difficulty, strata_of_parents, stratified_items


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 9), st.data())
def test_any_beginning_holds_each_stratum_in_proportion(sizes: list[int], seed: int, data: st.DataObject) -> None:
    strata = np.repeat(np.arange(len(sizes)), sizes)
    selector = stratified_items(strata, seed)
    number = data.draw(st.integers(0, len(strata)))
    counts = np.bincount(strata[selector.order_N[:number]], minlength=len(sizes))
    assert np.abs(counts - number * np.array(sizes) / len(strata)).max() <= len(sizes) / 2 + 0.5


def test_strata_in_which_children_vary_more_are_asked_more() -> None:
    parents = np.array([[1] * 40 + [0] * 20, [1] * 20 + [0] * 40])
    strata, importance = strata_of_parents(parents.astype(float))
    assert [importance[strata[item]] for item in (0, 30, 50)] == [0.25, 0.5, 0.25]
    selector = stratified_items(strata, 0, importance)
    counts = np.bincount(strata[selector.order_N[:20]])
    assert counts[strata[[0, 30, 50]]].tolist() == [5, 10, 5]


def test_items_of_alike_difficulty_share_a_stratum() -> None:
    shares = np.array([0.1, 0.9, 0.5, 0.12, 0.52, 0.88])
    strata = strata_of_difficulty(shares, 3)
    assert strata.tolist() == [0, 2, 1, 0, 1, 2]
    assert strata_of_difficulty(np.full(4, 0.5), 3).tolist() == [0, 0, 0, 0]
