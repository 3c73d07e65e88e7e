"""Searches that ask some items, block by block and rung by rung."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.documents import tree_of
from evomerge.errors import EvomergeError
from evomerge.execution import Job
from evomerge.fitness import Objectives
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.irt import Bank, fit_bank
from evomerge.optimizers.base import Scored
from evomerge.recipe.references import parents, references
from evomerge.runs import Asked, Assessed, Evaluated, Event, RunLog, Started, Told
from evomerge.runs.budget import Budget
from evomerge.runs.results import Results
from evomerge.settings import Settings
from evomerge.study import Study, assemble
from evomerge.testing.executors import SimulatedExecutor
from tests.test_search import Repeating, essence, search

PARENT = {"estimator": {"name": "parent", "items": 12}, "racing": {"name": "halving", "first": 3}}


@pytest.fixture
def make_study(make_settings: Callable[..., Settings]) -> Callable[..., Study]:
    def make(fitness: dict[str, Any] | None = None, **more: Any) -> Study:
        settings = make_settings(**({"optimizer": {"name": "nsga2", "population": 6}, "candidates": 22} | more))
        return assemble(settings.model_copy(update={"fitness": settings.fitness | (fitness or PARENT)}))

    return make


@pytest.fixture
def make_log(tmp_path: Path) -> Iterator[Callable[[Study], RunLog]]:
    """A log of a run whose models have been scored."""
    logs: list[RunLog] = []

    def make(study: Study) -> RunLog:
        logs.append(RunLog.create(tmp_path / str(len(logs))))
        logs[-1].append(Started(study.identity))
        recipe, items = study.some_recipe, study.fitness.items("search")
        for name in parents(recipe):
            alone = references(recipe)[name]
            responses = SimulatedExecutor().responses(alone, items)
            logs[-1].append(Assessed(name, "reference", "search", alone.digest, tree_of(alone), items, responses))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def counting(study: Study, higher_is_better: bool) -> Study:
    """The same study, its scores read that way."""
    objectives = Objectives.of(study.fitness.spec, dict.fromkeys(("math", "ja"), higher_is_better), "")
    return dataclasses.replace(study, fitness=dataclasses.replace(study.fitness, objectives=objectives))


def recorded(log: RunLog) -> list[tuple[Event, ...]]:
    """What is written from now on, transaction by transaction: a crash leaves a prefix of these."""
    transactions: list[tuple[Event, ...]] = []
    append = log.append

    def record(*batch: Event) -> None:
        transactions.append(batch)
        append(*batch)

    log.append = record  # type: ignore[method-assign]
    return transactions


def asked_of(log: RunLog, task: str) -> dict[int, list[int]]:
    """Items of a task by candidate, in the order of asking; twins have none."""
    asked: dict[int, list[int]] = defaultdict(list)
    for event in log.events():
        if isinstance(event, Evaluated) and event.twin is None:
            asked[event.number] += event.items.get(task, ())
    return asked


Log = Callable[[Study], RunLog]
Make = Callable[..., Study]


class TestBlocksAndRungs:
    def test_no_item_is_asked_twice_and_half_go_on_after_each_rung(self, make_study: Make, make_log: Log) -> None:
        study = make_study()
        log = make_log(study)
        search(study, log, SimulatedExecutor()).run()
        asked = asked_of(log, "math")
        assert all(len(set(items)) == len(items) for items in asked.values())
        generation = [event.number for event in log.events() if isinstance(event, Asked) and event.generation == 0]
        assert len(generation) == 6
        assert Counter(len(asked[number]) for number in generation) == {3: 3, 6: 1, 12: 2}  # 6, then 3, then 2

    def test_the_run_is_the_same_for_one_worker_and_for_five(self, make_study: Make, make_log: Log) -> None:
        study, facts = make_study(), []
        for capacity in (1, 5):
            log = make_log(study)
            search(study, log, SimulatedExecutor(capacity, fails=lambda job: job.number in (4, 9))).run()
            facts.append(essence(log))
        assert facts[0] == facts[1]
        assert ("failed", 4) in facts[0]

    @pytest.mark.parametrize("after", [14])
    @pytest.mark.parametrize("racing", [{"name": "halving", "first": 3}, {"name": "posterior", "step": 4}, "none"])
    def test_resumes_from_any_prefix_of_its_log(self, make_study: Make, make_log: Log, after: int, racing: Any) -> None:
        study = make_study(PARENT | {"racing": racing, "promotion": 16})
        whole, cut = make_log(study), make_log(study)
        transactions = recorded(whole)
        search(study, whole, SimulatedExecutor(3, fails=lambda job: job.number == 5)).run()
        for batch in transactions[:after]:
            cut.append(*batch)
        search(study, cut, SimulatedExecutor(1, fails=lambda job: job.number == 5)).run()
        assert essence(cut) == essence(whole)

    def test_an_optimiser_that_never_waits_is_raced_in_generations(self, make_study: Make, make_log: Log) -> None:
        study = make_study(optimizer={"name": "random"}, candidates=10, generation=4)
        log = make_log(study)
        search(study, log, SimulatedExecutor()).run()
        generations = [event.generation for event in log.events() if isinstance(event, Asked)]
        assert generations == [0] * 4 + [1] * 4 + [2] * 2

    def test_a_population_is_one_generation(self, make_study: Make, make_log: Log) -> None:
        study = make_study(optimizer={"name": "nsga2", "population": 20}, candidates=40)
        log = make_log(study)
        search(study, log, SimulatedExecutor()).run()
        assert Counter(event.generation for event in log.events() if isinstance(event, Asked)) == {0: 20, 1: 20}

    def test_the_best_are_promoted(self, make_study: Make, make_log: Log) -> None:
        study = make_study(PARENT | {"promotion": 20})
        log = make_log(study)
        progress = search(study, log, SimulatedExecutor()).run()
        asked = asked_of(log, "ja")
        promoted = {number for number, items in asked.items() if len(items) > 12}
        assert 0 < len(promoted) < len(asked)
        first = [number for number in promoted if progress.generations[number] == 0]
        others = [number for number in asked if progress.generations[number] == 0 and number not in promoted]
        best = [min(progress.losses[number][column] for number in first) for column in (0, 1)]
        assert all(max(np.array(progress.losses[number]) - best) >= 0 for number in others)

    def test_a_twin_is_asked_nothing_and_told_the_same(self, make_study: Make, make_log: Log) -> None:
        study = make_study(candidates=5)
        log = make_log(study)
        search(study, log, SimulatedExecutor(2), Repeating(study.space.seeds[0])).run()
        assert len(asked_of(log, "math")) == 1
        assert len({event.losses for event in log.events() if isinstance(event, Told)}) == 1

    def test_all_candidates_failing_ends_the_search(self, make_study: Make, make_log: Log) -> None:
        study = make_study()
        log = make_log(study)
        progress = search(study, log, SimulatedExecutor(fails=lambda job: True)).run()
        assert len(progress.failures) == 22
        assert progress.scored == []


EXAMS: dict[str, dict[str, Any]] = {
    "fixed items, constrained": {
        "estimator": {"name": "mean", "items": 8},
        "racing": {"name": "halving", "first": 2, "keep": 0.3},
        "rotation": 1,
        "promotion": 14,
        "constraints": [{"task": "math", "at_least": 0.4}],
    },
    "adaptive items, compared with a model": {
        "estimator": {"name": "parent", "items": 8},
        "racing": {"name": "posterior", "step": 3},
        "rotation": 0.2,
        "constraints": [{"task": "ja", "at_least": 0.9, "of": "math"}],
    },
    "one objective": {
        "estimator": {"name": "parent", "items": 8},
        "racing": {"name": "halving", "first": 2},
        "promotion": 10,
        "objectives": {"both": ["math", "ja"]},
    },
    "all items": {"estimator": {"name": "mean"}},
}


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("name", EXAMS)
def test_neither_workers_nor_crashes_nor_late_failures_change_a_run(
    make_study: Make, make_log: Log, name: str, higher_is_better: bool
) -> None:
    optimizer = {"name": "random", "population": 5} if name == "one objective" else {"name": "nsga2", "population": 5}
    study = make_study(EXAMS[name], candidates=13, generation=4, optimizer=optimizer)
    study = counting(study, higher_is_better)

    def falls_late(job: Job) -> bool:
        return job.number in (1, 6, 7, 8) and len(job.items["ja"]) > 2  # at once where all is asked

    whole = make_log(study)
    transactions = recorded(whole)
    search(study, whole, SimulatedExecutor(1, falls_late)).run()
    facts = essence(whole)
    assert any(("failed", number) in facts for number in (1, 6, 7, 8))
    for capacity, after in ((4, 0), (1, 9), (3, 23), (2, len(transactions) - 2)):
        cut = make_log(study)
        for batch in transactions[:after]:
            cut.append(*batch)
        search(study, cut, SimulatedExecutor(capacity, falls_late)).run()
        assert essence(cut) == facts
    results = Results(whole, study.fitness)
    assert all(candidate.failure or candidate.losses for candidate in results.candidates)


class TestBanks:
    @pytest.fixture
    def fitness(self, make_study: Make, tmp_path: Path) -> dict[str, Any]:
        """A fitness whose two tasks have banks."""
        study, rng = make_study(), np.random.default_rng(0)
        tasks = {}
        for task, positions in study.fitness.search_items.items():
            digests = [study.fitness.splits.digests[task][position] for position in positions]
            rows = {f"model {n}": (rng.random(len(digests)) < 0.2 + 0.1 * n).astype(float) for n in range(7)}
            entry = study.fitness.spec.tasks[task]
            bank = fit_bank(rows, digests, task=entry.task, task_version="1.0", metric="acc")
            bank.save(tmp_path / f"{task}.safetensors")
            tasks[task] = {"task": entry.task, "metric": "acc", "bank": f"{task}.safetensors"}
        estimator = {"name": "eap", "items": 6}
        return {
            "tasks": study.settings.fitness["tasks"] | tasks,
            "estimator": estimator,
            "selector": {"name": "fisher"},
        }

    @pytest.mark.parametrize("after", [22])
    def test_a_bank_goes_on_learning_and_a_resumed_run_with_it(
        self, make_study: Make, make_log: Log, fitness: dict[str, Any], after: int
    ) -> None:
        facts = {}
        for recalibrate in (False, True):
            study = make_study(fitness | {"recalibrate": recalibrate})
            whole = make_log(study)
            transactions = recorded(whole)
            search(study, whole, SimulatedExecutor(2)).run()
            facts[recalibrate] = essence(whole)
        assert facts[False]["told", 0] == facts[True]["told", 0]
        assert facts[False] != facts[True]
        cut = make_log(study)
        for batch in transactions[:after]:
            cut.append(*batch)
        search(study, cut, SimulatedExecutor(1)).run()
        assert essence(cut) == facts[True]

    def test_another_bank_is_another_run(self, make_study: Make, fitness: dict[str, Any], tmp_path: Path) -> None:
        before = make_study(fitness).identity
        bank = Bank.load(tmp_path / "math.safetensors")
        rows = {f"other {n}": np.arange(len(bank.provenance.items)) % (n + 2) > 0 for n in range(6)}
        names = {"task": bank.provenance.task, "task_version": "1.0", "metric": "acc"}
        fit_bank({n: r.astype(float) for n, r in rows.items()}, bank.provenance.items, **names).save(
            tmp_path / "math.safetensors"
        )
        changed = [key for key, value in make_study(fitness).identity.items() if value != before[key]]
        assert changed == ["banks"]


class TestRotation:
    @pytest.mark.parametrize("estimator", [{"name": "parent", "items": 6}, {"name": "mean", "items": 6}])
    def test_generations_are_asked_other_items(
        self, make_study: Make, make_log: Log, estimator: dict[str, Any]
    ) -> None:
        seen = {}
        for rotation in (0.5, 1.0):
            study = make_study({"estimator": estimator, "rotation": rotation})
            log = make_log(study)
            progress = search(study, log, SimulatedExecutor()).run()
            items = defaultdict(set)
            for number, asked in asked_of(log, "math").items():
                items[progress.generations[number]] |= set(asked)
            seen[rotation] = items
        num_items = len(study.fitness.splits.search["math"])
        assert all(len(items) <= num_items / 2 for items in seen[0.5].values())
        assert len(set.union(*seen[0.5].values())) > num_items / 2
        if estimator["name"] == "mean":
            assert len({tuple(sorted(items)) for items in seen[1.0].values()}) == 1


class TestWhatIsTold:
    def test_losses_come_with_errors_and_single_items(self, make_study: Make, make_log: Log) -> None:
        study = make_study()
        told: dict[int, Scored] = {}
        optimizer = study.optimizer()
        tell = optimizer.tell
        optimizer.tell = lambda number, scored: (told.update({number: scored}), tell(number, scored))[1]  # type: ignore
        search(study, make_log(study), SimulatedExecutor(), optimizer).run()
        num_items = sum(map(len, study.fitness.search_items.values()))
        for scored in told.values():
            assert scored.items_I.shape == (num_items,)
            assert ((scored.items_I >= 0) & (scored.items_I <= 1)).all()
            assert all(error > 0 for error in scored.errors)

    def test_results_tell_what_the_search_was_told(self, make_study: Make, make_log: Log) -> None:
        study = make_study()
        log = make_log(study)
        progress = search(study, log, SimulatedExecutor()).run()
        results = Results(log, study.fitness)
        for candidate in results.candidates:
            assert candidate.losses == progress.losses[candidate.number]
            assert study.fitness.objectives.losses(candidate.estimates) == candidate.losses
        assert results.progress.spent == progress.spent

    @pytest.mark.parametrize(("limit", "spent"), [("items", 100), ("tokens", 60), ("seconds", 12)])
    def test_a_budget_ends_the_search(self, make_study: Make, make_log: Log, limit: str, spent: int) -> None:
        study = make_study(candidates=500, **{limit: spent})
        used = search(study, make_log(study), SimulatedExecutor()).run().spent
        assert spent <= getattr(used, limit) < 3 * spent
        assert study.budget == Budget(500, **{limit: spent})

    @pytest.mark.parametrize(("limit", "spent"), [("tokens", 60), ("seconds", 12)])
    def test_failures_cost_what_they_took(self, make_study: Make, make_log: Log, limit: str, spent: int) -> None:
        study = make_study(candidates=200, **{limit: spent})
        log = make_log(study)
        progress = search(study, log, SimulatedExecutor(fails=lambda job: True)).run()
        assert spent <= getattr(progress.spent, limit) < 2 * spent
        assert Results(log, study.fitness).progress.spent == progress.spent
        assert {candidate.seconds for candidate in Results(log, study.fitness).candidates} == {1.5}

    def test_twins_of_a_failure_cost_nothing(self, make_study: Make, make_log: Log) -> None:
        study = make_study(candidates=5)
        progress = search(
            study, make_log(study), SimulatedExecutor(2, lambda job: True), Repeating(study.space.seeds[0])
        ).run()
        assert len(progress.failures) == 5
        assert progress.spent.seconds < 5 * 1.5

    @pytest.mark.parametrize(("higher_is_better", "expected"), [(True, (1.0, 1.0)), (False, (7.0, 1.0))])
    def test_where_all_fail_at_first_failing_is_no_better_than_the_worst_model(
        self, make_study: Make, make_log: Log, higher_is_better: bool, expected: tuple[float, float]
    ) -> None:
        study = counting(make_study({"estimator": {"name": "mean"}}), higher_is_better)
        nats = {"base": {"math": 3.0, "ja": 0.2}, "math": {"math": 7.0, "ja": 0.4}, "broken": {"math": 9.0}}
        split = study.fitness.splits.search
        known = {name: {t: np.full(len(split[t]), value) for t, value in own.items()} for name, own in nats.items()}
        ready = search(study, make_log(study), SimulatedExecutor(fails=lambda job: job.number < 6))
        ready.examiner = Examiner(study.fitness, study.settings.seed, known)
        losses = ready.run().losses
        assert {losses[number] for number in range(6)} == {expected}
        assert max(losses[number] for number in range(6, 22)) <= expected

    def test_where_all_fail_and_no_loss_is_the_largest_the_search_ends(self, make_study: Make, make_log: Log) -> None:
        study = counting(make_study({"estimator": {"name": "mean"}}), False)
        ready = search(study, make_log(study), SimulatedExecutor(fails=lambda job: True))
        ready.examiner = Examiner(study.fitness, study.settings.seed, {})
        with pytest.raises(EvomergeError, match=r"every candidate so far failed, the first because: it fell over"):
            ready.run()

    def test_models_that_cannot_be_scored_end_the_search(self, make_study: Make, tmp_path: Path) -> None:
        study = make_study()
        with RunLog.create(tmp_path / "bare") as log, pytest.raises(Exception, match="no model could be scored"):
            search(study, log, SimulatedExecutor()).run()


STAGES: list[dict[str, Any]] = [
    {
        "genes": ["*weigh.math"],
        "driver": {"name": "screened", "startup": 6, "driver": {"name": "nsga2", "population": 6}},
        "l1": 0.01,
    },
    {"genes": ["*weigh.ja"], "driver": {"name": "map", "population": 3, "inner_population": 8, "generations": 2}},
]


def test_stages_a_screen_constraints_races_starts_and_failures_replay_together(make_study: Make, make_log: Log) -> None:
    fitness = PARENT | {"constraints": [{"task": "math", "at_least": 0.5}]}
    start = {gene.name: 3.5 for gene in make_study().space.genes}
    study = make_study(fitness, optimizer={"name": "staged", "stages": STAGES}, candidates=24, starts=[start])
    facts = []
    for capacity in (1, 5):
        log = make_log(study)
        transactions = recorded(log)
        search(study, log, SimulatedExecutor(capacity, fails=lambda job: job.number in (0, 9, 15))).run()
        facts.append(essence(log))
    assert facts[0] == facts[1]
    for end in range(5, len(transactions), 40):
        log = make_log(study)
        for batch in transactions[:end]:
            log.append(*batch)
        search(study, log, SimulatedExecutor(2, fails=lambda job: job.number in (0, 9, 15))).run()
        assert essence(log) == facts[0]
