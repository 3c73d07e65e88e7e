"""Searches whose candidates are compared with models: agreement, forgetting, constraints."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import ConfigError, EvomergeError
from evomerge.execution import Executor, Job
from evomerge.finals import assess, entries, models_before
from evomerge.merging import Library, size_of
from evomerge.runs import Assessed, Evaluated, Failed, RunLog, Started, Told
from evomerge.runs.budget import Budget
from evomerge.runs.results import Results, examiner_of
from evomerge.search import Search
from evomerge.settings import Settings
from evomerge.study import Study, assemble
from evomerge.testing.executors import SimulatedExecutor

GOALS: dict[str, Any] = {
    "tasks": {
        "math": {"task": "zoo_math_en_mc", "metric": "acc"},
        "like": {"task": "zoo_form_ja_mc", "metric": {"name": "agreement", "with": "ja"}},
        "old": {"task": "zoo_math_ja_mc", "metric": "acc"},
    },
    "objectives": {
        "new": {"tasks": ["math", "like"], "weights": [3, 1]},
        "forgotten": {"forgetting": ["old"], "of": "base"},
    },
    "constraints": [{"task": "math", "at_least": 0.9, "of": "base"}, {"objective": "forgotten", "at_most": 0.25}],
}
SAMPLED = {"estimator": {"name": "parent", "items": 12}, "racing": {"name": "halving", "first": 6}}


def opinion(digest: str, label: str, item: int) -> float:
    """One of four answers to every item, each recipe's own; agreement hears which, other metrics whether it is odd."""
    draw = hashlib.sha256(f"{digest} {label} {item}".encode()).digest()[0]
    return draw % (4 if label == "like" else 2)


def opinionated(fails: Callable[[Job], bool] = lambda job: False) -> Executor:
    return SimulatedExecutor(2, fails, opinion)


@pytest.fixture
def make_study(make_settings: Callable[..., Settings]) -> Callable[..., Study]:
    def make(**more: Any) -> Study:
        settings = make_settings(optimizer={"name": "nsga2", "population": 6}, candidates=18, finalists=4)
        return assemble(settings.model_copy(update={"fitness": settings.fitness | GOALS | more}))

    return make


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with RunLog.create(tmp_path / "run") as log:
        yield log


def run(study: Study, log: RunLog, executor: Executor | None = None) -> None:
    """As the command does."""
    executor = executor or opinionated()
    if not list(log.events()):
        log.append(Started(study.identity))
    optimizer, models = study.optimizer(), models_before(study.some_recipe, study.fitness)
    assess(models, executor, study.fitness, log, lambda event: None, ("search",))
    examiner = examiner_of(log, study.fitness, study.settings.seed)
    progress = Search(study.space, optimizer, executor, examiner, log, Budget(study.settings.candidates)).run()
    field = entries(study.space, progress, optimizer.favourite(), study.settings.finalists)
    assess(field, executor, study.fitness, log, lambda event: None)


def mean(scores_I: np.ndarray) -> float:
    return float(scores_I.astype(float).mean())


def test_what_is_told_follows_from_the_answers_in_the_log(make_study: Callable[..., Study], log: RunLog) -> None:
    run(make_study(), log)
    events = list(log.events())
    models = {event.name: event.responses for event in events if isinstance(event, Assessed) and event.kind == "rival"}
    assert set(models) == {"ja", "base"}
    answers = {event.number: event.responses for event in events if isinstance(event, Evaluated)}
    told = {event.number: event for event in events if isinstance(event, Told)}
    assert set(answers) == set(told) == set(range(18))
    for number, responses in answers.items():
        new = 0.75 * mean(responses["math"]) + 0.25 * mean(responses["like"] == models["ja"]["like"])
        forgotten = max(0.0, mean(models["base"]["old"]) - mean(responses["old"]))
        assert told[number].losses == pytest.approx((1 - new, forgotten))
        short = 0.9 * mean(models["base"]["math"]) - mean(responses["math"])
        assert told[number].violations == pytest.approx((short, forgotten - 0.25))
        assert told[number].errors == (0, 0)


@pytest.mark.parametrize(("more", "after"), [({}, 2), ({}, 25), (SAMPLED, 3), (SAMPLED, 25)])
def test_a_run_resumes_from_any_prefix_of_its_log(
    make_study: Callable[..., Study], tmp_path: Path, more: dict[str, Any], after: int
) -> None:
    study = make_study(**more)
    with RunLog.create(tmp_path / "whole") as whole, RunLog.create(tmp_path / "cut") as cut:
        run(study, whole)
        cut.append(*list(whole.events())[:after])
        run(study, cut)
        told = [{event.number: event for event in log.events() if isinstance(event, Told)} for log in (whole, cut)]
        assert told[0] == told[1]
        assert len(told[0]) == 18


def test_finalists_and_the_chosen_one_hold_the_constraints_where_some_do(
    make_study: Callable[..., Study], log: RunLog
) -> None:
    study = make_study()
    run(study, log)
    results = Results(log, study.fitness)
    holders = [one for one in results.candidates if max(one.violations) <= 0]
    assert 0 < len(holders) < len(results.candidates)
    finalists = {one.digest for one in results.finalists if one.name != "favourite"}
    assert finalists <= {one.digest for one in holders} or {one.digest for one in holders} <= finalists
    on_selection = {one.name: max(results.worth(one, "selection").violations) for one in results.finalists}
    assert on_selection[results.best().name] <= 0 or min(on_selection.values()) > 0
    if min(on_selection.values()) <= 0:
        assert all(on_selection[one.name] <= 0 for one in results.front())


def test_models_are_measured_by_themselves_on_every_split(make_study: Callable[..., Study], log: RunLog) -> None:
    study = make_study()
    run(study, log)
    results = Results(log, study.fitness)
    assert {one.name for one in results.references} == {"base", "math", "ja", "uniform"}
    for split in ("search", "selection", "test"):
        assert results.contenders["ja"].estimates[split]["like"].value == 1
        assert results.values(results.contenders["base"], split)["forgotten"].value == 0
        assert results.worth(results.contenders["base"], split).violations[0] < 0
        assert set(results.contenders["math"].responses[split]["like"].tolist()) <= {0, 1}


def test_finalists_wait_for_the_models_that_they_are_compared_with(
    make_study: Callable[..., Study], log: RunLog, tmp_path: Path
) -> None:
    study = make_study()
    run(study, log)
    events = [event for event in log.events() if not (isinstance(event, Assessed) and event.kind == "reference")]
    with RunLog.create(tmp_path / "unfinished") as unfinished:
        unfinished.append(*events)
        results = Results(unfinished, study.fitness)
        assert results.finalists
        assert results.references == []
        assert not any(one.complete("selection") or one.complete("test") for one in results.finalists)
        assert results.front() == []
        with pytest.raises(EvomergeError, match="no finalist has been scored on the selection split yet"):
            results.best()


def test_a_failed_candidate_breaks_constraints_as_far_as_the_worst(
    make_study: Callable[..., Study], log: RunLog
) -> None:
    study = make_study()
    run(study, log, opinionated(lambda job: job.number in (1, 7) and "mix" in job.recipe.blends))
    told = {event.number: event for event in log.events() if isinstance(event, Told)}
    failed = {event.number for event in log.events() if isinstance(event, Failed)}
    assert failed == {1, 7}
    for number in failed:
        others = [event.violations for other, event in told.items() if other not in failed and other < 6]
        assert all(told[number].violations[index] >= max(row[index] for row in others) for index in range(2))
        assert np.isfinite(told[number].violations).all()


def test_a_model_that_cannot_be_scored_ends_the_search_with_its_name(
    make_study: Callable[..., Study], log: RunLog
) -> None:
    with pytest.raises(EvomergeError, match=r"^Candidates are compared with ja and base, and there are no scores"):
        run(make_study(), log, opinionated(lambda job: True))


def test_models_are_those_of_the_search_space(make_study: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_study(constraints=[{"task": "math", "at_least": 0.9, "of": "bass"}])
    assert str(caught.value) == (
        'fitness/two.yaml: constraints[0].of: "bass" is not a model of the search space. Did you mean "base"?'
    )


def test_costs_are_those_of_the_merge(make_settings: Callable[..., Settings], log: RunLog) -> None:
    settings = make_settings(optimizer={"name": "nsga2", "population": 4}, candidates=6, finalists=2)
    objectives = {"skill": ["math"], "size": {"cost": "parameters"}, "depth": {"cost": "layers"}}
    constraints = [{"objective": "depth", "at_most": 1.2, "of": "base"}]
    space = {**settings.search_space, "route": {"use": "indicator", "from": ["mix", "math"]}, "seeds": []}
    fitness = settings.fitness | {"objectives": objectives, "constraints": constraints}
    study = assemble(settings.model_copy(update={"fitness": fitness, "search_space": space}))
    executor = study.executor()
    run(study, log, executor)
    executor.close()
    results = Results(log, study.fitness)
    library = Library()
    for candidate in results.scored:
        size = size_of(study.space.decode(candidate.genome), library)
        assert candidate.losses[1:] == (size.parameter_share, size.layer_share)
        assert candidate.violations == (size.layer_share - 1.2,)
    assert len({candidate.losses[2] for candidate in results.scored}) > 1
    for contender in results.contenders.values():
        values = results.values(contender, "test")
        assert values["depth"].value == size_of(contender.recipe, library).layer_share
