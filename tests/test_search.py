import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint
from evomerge.errors import ConfigError, EvomergeError
from evomerge.execution import Executor
from evomerge.finals import assess, entries
from evomerge.fitness.racing import ranked
from evomerge.merging import Library, Merge
from evomerge.optimizers.base import Optimizer
from evomerge.runs import Asked, Assessed, Evaluated, Event, Failed, RunLog, Started, Told
from evomerge.runs.progress import Progress
from evomerge.runs.results import Results, examiner_of
from evomerge.search import Search
from evomerge.settings import Settings
from evomerge.study import Study, assemble
from evomerge.testing.executors import SimulatedExecutor


@pytest.fixture
def study(make_settings: Callable[..., Settings]) -> Study:
    return assemble(make_settings(optimizer={"name": "nsga2", "population": 4}, candidates=13))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with RunLog.create(tmp_path / "run") as log:
        log.append(Started({"seed": 0}))
        yield log


def run(study: Study, log: RunLog, executor: Executor, watch: Callable[[Event], None] = lambda event: None) -> Progress:
    return search(study, log, executor, watch=watch).run()


def search(
    study: Study,
    log: RunLog,
    executor: Executor,
    optimizer: Optimizer | None = None,
    watch: Callable[[Event], None] = lambda event: None,
) -> Search:
    examiner, largest = examiner_of(log, study.fitness, study.settings.seed), study.settings.generation
    optimizer = optimizer or study.optimizer()
    return Search(study.space, optimizer, executor, examiner, log, study.budget, largest, watch)


def essence(log: RunLog) -> dict[object, object]:
    """What a run is, whatever the order in which workers answered."""
    facts: dict[object, Any] = defaultdict(list)
    for event in log.events():
        match event:
            case Asked(number, genome, digest, generation):
                facts["asked", number] = (genome, digest, generation)
            case Evaluated(number=number, items=items, responses=responses):
                facts["answered", number].append([(t, items[t], responses[t].tolist()) for t in sorted(items)])
            case Told():
                facts["told", event.number] = (event.losses, event.errors)
            case Failed(number, reason):
                facts["failed", number] = reason
            case Assessed():
                facts["assessed", event.name, event.split] = {t: s.tolist() for t, s in event.responses.items()}
    return facts


class TestTheLoop:
    def test_spends_its_budget(self, study: Study, log: RunLog) -> None:
        run(study, log, SimulatedExecutor())
        numbers = [event.number for event in log.events() if isinstance(event, Told)]
        assert sorted(numbers) == list(range(13))

    def test_logs_before_it_acts(self, study: Study, log: RunLog) -> None:
        """Whoever watches finds the event in the log already."""
        seen: list[bool] = []
        run(study, log, SimulatedExecutor(), lambda event: seen.append(type(event) is type(list(log.events())[-1])))
        assert len(seen) == 3 * 13

    def test_is_the_same_for_one_worker_and_for_five(self, study: Study, tmp_path: Path) -> None:
        facts = []
        for capacity in (1, 5):
            with RunLog.create(tmp_path / str(capacity)) as log:
                run(study, log, SimulatedExecutor(capacity))
                facts.append(essence(log))
        assert facts[0] == facts[1]

    @pytest.mark.parametrize("after", [1, 2, 7, 20, 38])
    @pytest.mark.parametrize("capacity", [1, 3])
    def test_resumes_from_any_prefix_of_its_log(self, study: Study, tmp_path: Path, after: int, capacity: int) -> None:
        with RunLog.create(tmp_path / "whole") as whole, RunLog.create(tmp_path / "cut") as cut:
            run(study, whole, SimulatedExecutor(capacity))
            cut.append(*list(whole.events())[:after])
            run(study, cut, SimulatedExecutor(capacity))
            assert essence(cut) == essence(whole)

    def test_resumes_with_fewer_workers_than_it_had(self, study: Study, tmp_path: Path) -> None:
        with RunLog.create(tmp_path / "whole") as whole, RunLog.create(tmp_path / "cut") as cut:
            run(study, whole, SimulatedExecutor(4))
            cut.append(*list(whole.events())[:4])  # four candidates asked, none told
            run(study, cut, SimulatedExecutor(1))
            assert essence(cut) == essence(whole)

    def test_does_not_score_a_recipe_twice(self, make_settings: Callable[..., Settings], log: RunLog) -> None:
        study = assemble(make_settings(candidates=3))
        uniform = study.space.seeds[0]
        executor = SimulatedExecutor()
        search(study, log, executor, Repeating(uniform)).run()
        assert len(executor.jobs) == 1
        twins = [event.twin for event in log.events() if isinstance(event, Evaluated)]
        assert twins == [None, 0, 0]

    def test_twins_in_one_generation_share_an_evaluation(
        self, make_settings: Callable[..., Settings], log: RunLog
    ) -> None:
        study = assemble(make_settings(candidates=3))
        executor = SimulatedExecutor(capacity=3)
        search(study, log, executor, Repeating(study.space.seeds[0])).run()
        assert len(executor.jobs) == 1
        assert sum(isinstance(event, Told) for event in log.events()) == 3

    @pytest.mark.parametrize("capacity", [1, 2, 4])
    def test_a_failed_candidate_is_told_the_worst_loss_of_its_generation_and_those_before(
        self, study: Study, log: RunLog, capacity: int
    ) -> None:
        """Whatever the number of workers, so that the search goes the same way."""
        run(study, log, SimulatedExecutor(capacity, fails=lambda job: job.number in (4, 5)))
        losses = {event.number: event.losses for event in log.events() if isinstance(event, Told)}
        scored = [losses[number] for number in (0, 1, 2, 3, 6, 7)]  # generations of four
        assert losses[4] == losses[5] == tuple(max(column) for column in zip(*scored, strict=True))

    def test_a_search_whose_candidates_all_fail_ends(self, study: Study, log: RunLog) -> None:
        run(study, log, SimulatedExecutor(fails=lambda job: True))
        assert sum(isinstance(event, Failed) for event in log.events()) == 13
        assert {event.losses for event in log.events() if isinstance(event, Told)} == {(1.0, 1.0)}

    def test_an_exhausted_space_ends_the_search(self, make_settings: Callable[..., Settings], log: RunLog) -> None:
        study = assemble(make_settings(candidates=50))
        search(study, log, SimulatedExecutor(), Repeating(study.space.seeds[0], times=4)).run()
        assert sum(isinstance(event, Told) for event in log.events()) == 4

    def test_refuses_a_log_that_another_search_wrote(
        self, study: Study, make_settings: Callable[..., Settings], log: RunLog
    ) -> None:
        run(study, log, SimulatedExecutor())
        other = assemble(make_settings(optimizer={"name": "nsga2", "population": 4}, candidates=13, seed=1))
        with pytest.raises(EvomergeError, match=r"the log says .* this installation proposes"):
            run(other, log, SimulatedExecutor())


class TestTheFinals:
    def test_score_finalists_and_references_on_every_split(self, study: Study, log: RunLog) -> None:
        progress = run(study, log, SimulatedExecutor())
        field = entries(study.space, progress, None, num_finalists=3)
        assert [entry.kind for entry in field] == ["finalist"] * 3 + ["reference"] * 4
        executor = SimulatedExecutor(2)
        assess(field, executor, study.fitness, log, lambda event: None)
        results = Results(log, study.fitness)
        assert set(results.contenders) == {entry.name for entry in field}
        assert all(contender.complete(s) for contender in results.finalists for s in ("search", "selection", "test"))
        assert results.best() in results.front("selection")

    def test_the_test_split_is_touched_by_nothing_else(self, study: Study, log: RunLog) -> None:
        progress = run(study, log, SimulatedExecutor())
        log.write_items(study.fitness.item_rows())
        assess(entries(study.space, progress, None, 2), SimulatedExecutor(), study.fitness, log, lambda event: None)
        split = {place: name for place, (name, _) in log.items().items()}
        for event in log.events():
            if isinstance(event, Evaluated | Assessed):
                wanted = "search" if isinstance(event, Evaluated) else event.split
                assert {split[task, item] for task, items in event.items.items() for item in items} == {wanted}

    def test_go_on_where_they_stopped(self, study: Study, log: RunLog) -> None:
        progress = run(study, log, SimulatedExecutor())
        field = entries(study.space, progress, None, 2)
        assess(field[:1], SimulatedExecutor(), study.fitness, log, lambda event: None)
        executor = SimulatedExecutor()
        assess(field, executor, study.fitness, log, lambda event: None)
        assert len(executor.jobs) == 3 * (len(field) - 1)

    def test_the_favourite_enters_beside_the_best_seen(self, study: Study, log: RunLog) -> None:
        progress = run(study, log, SimulatedExecutor())
        favourite = tuple(0.25 for _ in study.space.genes)
        field = entries(study.space, progress, favourite, 2)
        assert [entry.name for entry in field if entry.kind == "finalist"][-1] == "favourite"

    def test_failures_do_not_enter(self, study: Study, log: RunLog) -> None:
        progress = run(study, log, SimulatedExecutor(fails=lambda job: job.number > 0))
        field = entries(study.space, progress, None, 5)
        assert [entry.name for entry in field if entry.kind == "finalist"] == ["candidate 0"]


class TestAssembling:
    def test_reports_every_missing_model(self, make_settings: Callable[..., Settings]) -> None:
        settings = make_settings()
        lost = {name: "nowhere/" + name for name in ("base", "math", "ja")}
        settings = settings.model_copy(update={"search_space": settings.search_space | {"models": lost}})
        with pytest.raises(ConfigError) as error:
            assemble(settings)
        assert [problem.where for problem in error.value.problems] == [
            f"search_spaces/tiny.yaml: models.{name}" for name in lost
        ]

    def test_refuses_a_model_that_is_not_the_one_named(self, make_settings: Callable[..., Settings]) -> None:
        settings = make_settings()
        models = dict(settings.search_space["models"])
        models["math"] = {"path": models["math"], "digest": "sha256:other"}
        settings = settings.model_copy(update={"search_space": settings.search_space | {"models": models}})
        with pytest.raises(ConfigError, match=r"models\.math\.digest: .* It is another model\."):
            assemble(settings)

    def test_adapters_are_models_of_a_space(
        self, make_settings: Callable[..., Settings], save_adapter: Callable[..., Path], tmp_path: Path
    ) -> None:
        settings = make_settings()
        models = dict(settings.search_space["models"])
        name, factors = "model.layers.0.mlp.down_proj", {}
        for seed, expert in enumerate(("math", "ja")):
            rows, columns = Checkpoint(models["base"]).shape(f"{name}.weight")
            torch.manual_seed(seed)
            factors[expert] = torch.randn(rows, 2), torch.randn(2, columns)
            folder = save_adapter(tmp_path / "adapters" / expert, {name: factors[expert]}, lora_alpha=2)
            models[expert] = {"path": str(folder), "adapts": "base"}
        settings = settings.model_copy(update={"search_space": settings.search_space | {"models": models}})
        study = assemble(settings)
        assert len({*study.identity["models"].values()}) == 3
        recipe = study.space.decode((2.0, -1.0) * (len(study.space.genes) // 2))
        assert [recipe.models[expert].adapts for expert in ("math", "ja")] == ["base", "base"]
        (math_b, math_a), (ja_b, ja_a) = factors["math"], factors["ja"]
        wanted = Checkpoint(models["base"]).tensor(f"{name}.weight").float() + 2 * math_b @ math_a - ja_b @ ja_a
        torch.testing.assert_close(Merge(recipe, Library()).tensor(f"{name}.weight"), wanted, rtol=0, atol=1e-4)
        models["base"] = "nowhere"
        with pytest.raises(ConfigError) as error:
            assemble(settings.model_copy(update={"search_space": settings.search_space | {"models": models}}))
        assert [problem.where for problem in error.value.problems] == ["search_spaces/tiny.yaml: models.base"]

    def test_refuses_an_optimiser_that_does_not_suit(self, make_settings: Callable[..., Settings]) -> None:
        with pytest.raises(ConfigError, match='"cma_lr" takes one objective'):
            assemble(make_settings(optimizer={"name": "cma_lr"}))

    def test_identity_notices_what_matters(self, make_settings: Callable[..., Settings]) -> None:
        first = assemble(make_settings()).identity
        assert first == assemble(make_settings(candidates=99, finalists=7)).identity
        assert first["seed"] != assemble(make_settings(seed=1)).identity["seed"]


def test_ranked_layers() -> None:
    assert ranked([]) == []
    assert ranked([(1, 1), (0, 2), (2, 2), (0, 1)]) == [[3], [0, 1], [2]]


class Repeating:
    """Proposes one genome again and again."""

    def __init__(self, genome: tuple[object, ...], times: int = 10**6) -> None:
        self._genome, self._left = genome, times

    def ask(self) -> tuple[object, ...] | None:
        self._left -= 1
        return self._genome if self._left >= 0 else None

    def tell(self, number: int, scored: object) -> None:
        assert dataclasses.is_dataclass(scored)

    def favourite(self) -> None:
        return None
