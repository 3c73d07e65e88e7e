import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from evomerge.fitness.estimators.configs import MeanConfig
from evomerge.fitness.power import best_of
from evomerge.foresight import Forecast, Measured, forecast
from evomerge.foresight.advice import duration, sentences
from evomerge.foresight.forecast import _affordable
from evomerge.foresight.measure import Costs
from evomerge.study import Study

LABELS = ("math", "ja", "unseen")
COSTS = Costs(2.0, 0.0, dict.fromkeys(LABELS, 0.1), dict.fromkeys(LABELS, 5.0))


def answers(share: float, seed: int) -> dict[str, np.ndarray]:
    return {label: (np.random.default_rng(seed).random(20) < share).astype(np.float32) for label in ("math", "ja")}


def measured(shares: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)) -> Measured:
    candidates = [answers(share, index) for index, share in enumerate(shares)]
    return Measured(
        candidates,
        {"math": answers(0.5, 90), "ja": answers(0.3, 91)},
        ("math", "ja"),
        COSTS,
        {"candidate 3": "it fell"},
    )


@pytest.fixture
def make(make_study: Callable[..., Study]) -> Callable[..., Forecast]:
    def make(seen: Measured | None = None, asked: int | None = None, **settings: object) -> Forecast:
        study = make_study(fitness="one", candidates=50, finalists=2, **settings)
        if asked:
            spec = study.fitness.spec.model_copy(update={"estimator": MeanConfig(items=asked)})
            study = dataclasses.replace(study, fitness=dataclasses.replace(study.fitness, spec=spec))
        return forecast(study, study.fitness, seen or measured(), workers=2)

    return make


def test_costs_are_added_up(make: Callable[..., Forecast]) -> None:
    found = make()
    chosen = found.chosen
    assert (chosen.prospect.name, chosen.candidates, chosen.prospect.items) == ("as set", 50, 40)
    assert chosen.prospect.seconds == pytest.approx(2 + 40 * 0.1)
    assert found.search_s == pytest.approx(50 * 6)
    # two finalists, the favourite, three models and their average; three tasks on 20 + 10 + 10 items
    assert found.finals_items == 7 * 120
    assert found.finals_s == pytest.approx(7 * (2 + 120 * 0.1))


def test_budgets_other_than_candidates_count(make: Callable[..., Forecast]) -> None:
    assert make(items=400).chosen.candidates == 10
    assert make(tokens=1000).chosen.candidates == 5
    assert make(seconds=45).chosen.candidates == 7


def test_other_designs_have_the_same_time(make: Callable[..., Forecast]) -> None:
    found = make(asked=10)
    assert [plan.prospect.items for plan in found.plans] == [20, 40]
    for plan in found.plans[1:]:
        spent_s = plan.prospect.models_s + plan.candidates * plan.prospect.seconds
        assert spent_s <= found.search_s < spent_s + plan.prospect.seconds


def test_what_models_cost_first_pays_no_candidates(make: Callable[..., Forecast]) -> None:
    prospect = dataclasses.replace(make().chosen.prospect, merge_s=1.0, score_s=1.0, models_s=10.0)
    assert _affordable(prospect, 30.0) == 10


def test_the_promise_is_that_of_the_best_of_many(make: Callable[..., Forecast]) -> None:
    found = make()
    noise = found.chosen.prospect.precision["mean"].noise
    expected = best_of(50, found.true_sd["mean"], noise)
    assert found.chosen.gain["mean"] == pytest.approx(expected.gain)
    assert found.chosen.optimism["mean"] == pytest.approx(expected.optimism)
    values = [np.mean([scores.mean() for scores in given.values()]) for given in measured().candidates]
    assert found.means["mean"] == pytest.approx(np.mean(values))
    name, value = found.models["mean"]
    assert (name, value) == ("math", pytest.approx(np.mean([s.mean() for s in answers(0.5, 90).values()])))
    assert found.lead["mean"] == pytest.approx(expected.gain + np.mean(values) - value)


def test_the_sentences_have_the_numbers(make: Callable[..., Forecast]) -> None:
    found = make()
    text = "\n".join(sentences(found))
    assert "the first 4 candidates of this search and its models, on 20 search items of each task" in text
    assert "candidate 3 failed: it fell" in text
    assert "50 candidates take 2 min on 2 workers; 33% of a candidate's time is merging." in text
    assert "They give 2,000 answers and 10,000 tokens. The finals take 49 s more, for 840 answers." in text
    assert f"differ by {found.chosen.prospect.precision['mean'].paired:.3f}, on common items" in text
    assert f"looks {found.chosen.optimism['mean']:.3f} better than it is" in text
    assert f"a lead of {found.provable['mean']:.3f} or more over it (80 % power)" in text


@pytest.mark.parametrize(("finals_s", "is_told"), [(60.0, False), (60.1, True)])
def test_finals_that_cost_more_than_half_the_search_are_told(
    make: Callable[..., Forecast], finals_s: float, is_told: bool
) -> None:
    found = make()
    found = dataclasses.replace(found, finals_s=finals_s * found.search_s / 120)
    assert any(text.startswith("The finals cost") for text in sentences(found)) is is_told


@pytest.mark.parametrize(("times", "is_told"), [(2.0, False), (2.1, True)])
def test_estimates_that_err_twice_as_much_as_they_say_are_told(
    make: Callable[..., Forecast], times: float, is_told: bool
) -> None:
    found = make()
    precision = dataclasses.replace(found.chosen.prospect.precision["mean"], stated=0.1, seen=0.1 * times)
    chosen = dataclasses.replace(
        found.chosen, prospect=dataclasses.replace(found.chosen.prospect, precision={"mean": precision})
    )
    found = dataclasses.replace(found, plans=[chosen, *found.plans[1:]])
    assert any("estimates say that they err" in text for text in sentences(found)) is is_told


def test_a_better_design_is_named_only_where_it_wins_more(make: Callable[..., Forecast]) -> None:
    found = make(asked=10)
    better = dataclasses.replace(found.plans[1], gain={"mean": 2 * found.chosen.gain["mean"]}, candidates=123)
    told = "\n".join(sentences(dataclasses.replace(found, plans=[found.chosen, better])))
    assert f'"{better.prospect.name}"' in told
    assert "pays 123 candidates instead of 50" in told
    alone = "\n".join(sentences(dataclasses.replace(found, plans=[found.chosen])))
    assert "no other design that was tried is expected to win 5 % more" in alone


def test_what_tells_more_for_less_is_named_where_no_spread_is_seen(make: Callable[..., Forecast]) -> None:
    found = make(asked=10)
    cheap = dataclasses.replace(found.plans[1].prospect, merge_s=0.0, score_s=1.0)
    plans = [
        dataclasses.replace(plan, prospect=prospect, gain={"mean": 0.0})
        for plan, prospect in zip(found.plans, (found.chosen.prospect, cheap), strict=True)
    ]
    told = "\n".join(sentences(dataclasses.replace(found, plans=plans)))
    assert '"all search items" takes 1 s of a worker per candidate instead of 4 and tells smaller differences' in told
    assert "tells smaller differences" not in "\n".join(sentences(found))


def test_equal_candidates_promise_nothing(make: Callable[..., Forecast]) -> None:
    same = [answers(0.5, 1), answers(0.5, 1)]
    found = make(dataclasses.replace(measured(), candidates=same))
    text = "\n".join(sentences(found))
    assert "differ by no more than their noise" in text
    assert "where no spread is seen, more candidates do not help" in text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (12.3, "12 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
