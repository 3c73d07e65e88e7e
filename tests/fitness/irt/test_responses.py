import numpy as np

from evomerge.fitness.irt import ResponseStore


def test_models_are_rows_and_items_that_nobody_answered_are_left_out() -> None:
    store = ResponseStore()
    store.add("math", "aa", {"x": 1.0, "y": 0.0})
    store.add("ja", "bb", {"y": 1.0})
    store.add("elsewhere", "cc", {"other": 1.0})
    store.add("silent", "dd", {})
    kept, rows = store.matrix(["z", "y", "x"])
    assert kept == ("y", "x")
    assert list(rows) == ["math", "ja"]
    np.testing.assert_equal(rows["math"], [0.0, 1.0])
    np.testing.assert_equal(rows["ja"], [1.0, np.nan])
    assert len(store) == 3


def test_one_digest_is_one_model_by_its_first_name() -> None:
    store = ResponseStore()
    store.add("math", "aa", {"x": 1.0})
    store.add("run: math", "aa", {"y": 0.5, "x": 0.0})
    store.add("unknown", "", {"x": 1.0})
    kept, rows = store.matrix(["x", "y"])
    assert kept == ("x", "y")
    np.testing.assert_equal(rows, {"math": [0.0, 0.5], "unknown": [1.0, np.nan]})
    assert store.digests() == {"math": "aa", "unknown": ""}
