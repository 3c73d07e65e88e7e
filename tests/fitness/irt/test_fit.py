from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.fitness.irt.fit import Method
from evomerge.testing.responses import Simulated

NAMES: dict[str, Any] = {"task": "sums", "task_version": "1.0", "metric": "acc"}


@pytest.mark.parametrize(("method", "dimensions"), [("1pl", 1), ("2pl", 1), ("3pl", 1), ("mirt", 2)])
def test_the_order_of_items_has_no_say(method: Method, dimensions: int, simulated: Simulated) -> None:
    matrix = simulated.models_MN[:12, :40]
    digests = [f"{index * 31 % 101:016x}" for index in range(40)]
    order = np.random.default_rng(0).permutation(40)

    def fit(columns: np.ndarray) -> Bank:
        rows = {str(index): row[columns] for index, row in enumerate(matrix)}
        names = [digests[column] for column in columns]
        return fit_bank(rows, names, method=method, num_dimensions=dimensions, **NAMES)

    straight, shuffled = fit(np.arange(40)), fit(order)
    assert shuffled.provenance.items == tuple(digests[index] for index in order)
    assert shuffled.parameters.difficulties_N == pytest.approx(straight.parameters.difficulties_N[order])
    assert shuffled.provenance.misfit == pytest.approx(straight.provenance.misfit)
    assert straight.provenance.num_dimensions == dimensions


def test_the_misfit_is_the_error_on_the_other_half(simulated: Simulated, bank: Bank) -> None:
    assert 0 < bank.provenance.misfit < 0.15
    noise = np.random.default_rng(0).random((12, 60)) < 0.5
    flat = fit_bank({str(i): row.astype(float) for i, row in enumerate(noise)}, [f"{i:03}" for i in range(60)], **NAMES)
    halves = noise.astype(float)
    assert flat.provenance.misfit == pytest.approx(np.abs(0.5 - halves[:, 1::2].mean(1)).mean(), abs=0.06)


def test_all_faults_of_the_responses_are_told() -> None:
    rows = {"a": [0, 1], "b": [0, 1, 1], "c": [0, 2], "d": [1, np.nan]}
    with pytest.raises(ConfigError) as caught:
        fit_bank(rows, ["x", "y"], **NAMES)
    assert str(caught.value) == (
        'sums: model "b" has 3 scores for 2 items. Give one per item. '
        'model "c" has scores outside [0, 1]. Response models need a metric such as acc.'
    )


@pytest.mark.parametrize(
    ("num_models", "digests", "message"),
    [(3, ["x", "y"], "responses of 3 models are too few"), (4, ["x", "x"], "twice")],
)
def test_what_cannot_be_fitted_is_refused(num_models: int, digests: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_bank({str(index): [0.0, 1.0] for index in range(num_models)}, digests, **NAMES)
