import dataclasses
from typing import Any

import numpy as np
import pytest

from evomerge.documents import parse
from evomerge.fitness import Fitness, FitnessSpec, ItemSplits, Objectives
from evomerge.fitness.power import smallest_difference
from evomerge.foresight.designs import Prospect, designs_for, prospect
from evomerge.foresight.measure import Costs, Measured
from evomerge.testing.responses import Scenario, simulate

HALVING = {"estimator": {"name": "parent", "items": 40}, "racing": {"name": "halving", "first": 10}}


COSTS = Costs(merge_s=3.0, job_s=0.5, item_s={"sums": 0.1}, item_tokens={"sums": 7.0})


def make_fitness(num_items: int, **document: Any) -> Fitness:
    """One task of so many search items."""
    tree = {"evomerge": "fitness/1", "tasks": {"sums": {"task": "t", "metric": "acc"}}, "objectives": {"all": ["sums"]}}
    spec = parse(FitnessSpec, tree | document, "fit.yaml")
    positions = tuple(range(num_items))
    splits = ItemSplits(
        search={"sums": positions},
        selection={"sums": positions[:50]},
        test={"sums": positions[:100]},
        digests={"sums": {position: f"{position:016x}" for position in positions}},
    )
    return Fitness(spec, splits, Objectives.of(spec, {"sums": True}, "fit.yaml"))


def make_measured(num_items: int, num_candidates: int) -> Measured:
    """Simulated candidates and their two parents."""
    simulated = simulate(Scenario(num_items=num_items, num_candidates=num_candidates), seed=5)
    candidates = [{"sums": row.astype(np.float32)} for row in simulated.candidates_CN]
    models = {name: {"sums": row.astype(np.float32)} for name, row in zip("ab", simulated.parents_PN, strict=True)}
    return Measured(candidates, models, ("a", "b"), COSTS, {})


def of(measured: Measured, sizes: dict[str, int] | None = None, **document: object) -> Prospect:
    num_items = len(measured.models["a"]["sums"])
    fitness = make_fitness(num_items, **document)
    return prospect(next(designs_for(fitness, measured)), measured, 0, sizes or {"sums": num_items})


def test_halving_costs_what_its_rungs_cost() -> None:
    found = of(make_measured(300, 4), **HALVING)
    assert found.items == 10 + 10 / 2 + 20 / 4
    assert found.merge_s == pytest.approx((1 + 1 / 2 + 1 / 4) * COSTS.merge_s)
    assert found.score_s == pytest.approx(20 * 0.1 + (1 + 1 / 2 + 2 / 4) * COSTS.job_s)  # in blocks of ten
    assert found.tokens == pytest.approx(20 * 7)
    assert (found.models_s, found.is_bound) == (2 * (3 + 300 * 0.1 + 0.5), False)
    assert of(make_measured(300, 4), **(HALVING | {"racing": {"name": "posterior"}})).is_bound


def test_all_items_are_all_that_the_search_will_have() -> None:
    found = of(make_measured(80, 4), sizes={"sums": 800})
    assert (found.items, found.merge_s, found.models_s) == (800, COSTS.merge_s, 0)
    assert found.precision["all"].noise == pytest.approx(of(make_measured(80, 4)).precision["all"].noise / np.sqrt(10))


@pytest.mark.parametrize("items", [60, None])
def test_on_common_items_differences_scatter_as_foreseen(items: int | None) -> None:
    """Against other draws of as many items from a large world of them."""
    world = make_measured(20_000, 5)
    some = [{"sums": answers["sums"][:400]} for answers in world.candidates]
    models = {name: {"sums": answers["sums"][:400]} for name, answers in world.models.items()}
    precision = of(Measured(some, models, ("a", "b"), COSTS, {}), estimator={"name": "mean", "items": items}).precision[
        "all"
    ]
    asked, rng = items or 400, np.random.default_rng(0)
    answers_CI = np.array([answers["sums"] for answers in world.candidates])
    means_RC = np.array([answers_CI[:, rng.choice(20_000, asked, replace=False)].mean(1) for _ in range(400)])
    differences = [means_RC[:, a] - means_RC[:, b] for a in range(5) for b in range(a)]
    scatter = np.sqrt(np.mean([difference.var(ddof=1) for difference in differences]))
    assert np.sqrt(2) * precision.noise == pytest.approx(scatter, rel=0.15)
    assert precision.paired == pytest.approx(smallest_difference(np.sqrt(2) * precision.noise))
    assert precision.unpaired > 1.3 * precision.paired


def test_what_estimates_say_of_their_errors_is_what_is_seen() -> None:
    precision = of(make_measured(300, 40), **HALVING).precision["all"]
    assert precision.stated == pytest.approx(precision.seen, rel=0.4)
    assert precision.noise > precision.stated


def test_other_designs_are_tried_where_response_models_fit() -> None:
    fitness, measured = make_fitness(300), make_measured(300, 3)
    names = [design.name for design in designs_for(fitness, measured)]
    assert names[:3] == ["as set", "all search items", "parent 80, halving"]
    models = {name: {"sums": 5 * scores["sums"]} for name, scores in measured.models.items()}
    nats = dataclasses.replace(measured, models=models)
    assert [design.name for design in designs_for(fitness, nats)] == ["as set", "all search items"]
