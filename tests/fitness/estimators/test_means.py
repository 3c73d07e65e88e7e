import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lm_eval.api.metrics import mean, mean_stderr

from evomerge.fitness import Estimate, subset_mean

unit = st.floats(0, 1, width=32)


@given(arrays.arrays(np.float32, st.integers(2, 40), elements=unit))
def test_a_mean_and_its_error_are_those_of_lm_eval(scores_I: np.ndarray) -> None:
    estimate = subset_mean(scores_I)
    listed = scores_I.astype(float).tolist()
    assert estimate.value == mean(listed)
    assert estimate.stderr == mean_stderr(listed)
    assert estimate.num_items == len(scores_I)


@given(st.floats(-1e3, 1e3, width=32))
def test_one_item_has_a_finite_error(score: float) -> None:
    estimate = subset_mean(np.array([score], np.float32))
    assert estimate == Estimate(score, max(1.0, abs(score)) / 2, 1)
    assert math.isfinite(estimate.stderr)
