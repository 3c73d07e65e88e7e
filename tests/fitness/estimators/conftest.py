"""Every estimator with every selector that it works with, over the simulated merges."""

from collections.abc import Callable

import pytest

from evomerge.fitness.answers import Pool
from evomerge.fitness.estimation import unsuited
from evomerge.fitness.estimators import Estimator
from evomerge.fitness.estimators.registry import ESTIMATORS, make_estimator
from evomerge.fitness.irt import Bank
from evomerge.fitness.selectors import Selector
from evomerge.fitness.selectors.registry import SELECTORS, Draw, make_selector
from evomerge.testing.responses import Simulated

PAIRS = [
    (estimator, selector)
    for estimator in ESTIMATORS
    for selector in SELECTORS
    if unsuited(ESTIMATORS[estimator].config(), SELECTORS[selector].config()) is None
]


@pytest.fixture
def pool(simulated: Simulated, bank: Bank) -> Pool:
    """All that can be known of the simulated items."""
    return Pool(simulated.parents_PN.shape[1], bank, simulated.parents_PN)


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, pool: Pool) -> Callable[[int], tuple[Estimator, Selector]]:
    """Makes an estimator and a selector for so many items."""
    estimator, name = request.param

    def make(num_items: int) -> tuple[Estimator, Selector]:
        selector = make_selector(SELECTORS[name].config(), pool, num_items, Draw(1))
        return make_estimator(ESTIMATORS[estimator].config(), pool, selector.design), selector

    return make
