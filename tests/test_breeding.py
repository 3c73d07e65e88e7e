"""Searches that breed: M2N2 over recipes, from the command line to the exported member."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.checkpoints import Checkpoint, stretches_of
from evomerge.cli import main
from evomerge.errors import ConfigError
from evomerge.merging import Library, Merge, ResidentModel
from evomerge.merging.export import Provenance, export_model
from evomerge.optimizers.generational import Generational
from evomerge.optimizers.m2n2.breeder import Breeder
from evomerge.recipe import ModelRef
from evomerge.recipe.files import dump_recipe
from evomerge.runs import Asked, Assessed, RunLog, Started
from evomerge.settings import Settings
from evomerge.spaces.genes import Genome
from evomerge.spaces.lineage import LineageSpace
from evomerge.study import Study, assemble
from evomerge.testing.executors import SimulatedExecutor
from evomerge.warm_start import recipes_of, starts_of
from tests.cli.test_job import survives_a_kill
from tests.test_search import essence, run, search

SPACE = """# Breeding for tests.
evomerge: space/1
models: {base: ZOO/base, math: ZOO/math, ja: ZOO/ja}
breed: {experts: [base, math, ja], chromosomes: [{roles: [attention]}], resolution: 3}
"""
SEARCH = ["search", "search_space=bred", "fitness=two", "optimizer=m2n2", "optimizer.warm_up=4", "finalists=2"]


@pytest.fixture
def bred(desk: Path, zoo: Path) -> Path:
    """The desk with a space of members."""
    (desk / "search_spaces" / "bred.yaml").write_text(SPACE.replace("ZOO", str(zoo)))
    return desk


@pytest.fixture
def study_of(bred: Path, make_settings: Callable[..., Settings], zoo: Path) -> Callable[..., Study]:
    """Makes a study: `study_of(members=8, …)`."""
    from evomerge.documents import read_yaml

    tree = read_yaml(bred / "search_spaces" / "bred.yaml")

    def make(candidates: int = 30, starts: Sequence[Genome] = (), **optimizer: Any) -> Study:
        config = {"name": "m2n2", "warm_up": 5, **optimizer}
        return assemble(make_settings(search_space=tree, optimizer=config, candidates=candidates, starts=starts))

    return make


def begun(folder: Path) -> RunLog:
    log = RunLog.create(folder)
    log.append(Started({"seed": 0}))
    return log


def test_a_run_is_the_same_for_one_worker_and_for_five(study_of: Callable[..., Study], tmp_path: Path) -> None:
    essences = []
    for capacity in (1, 5):
        with begun(tmp_path / str(capacity)) as log:
            run(study_of(), log, SimulatedExecutor(capacity))
            essences.append(essence(log))
    assert essences[0] == essences[1]
    assert len({fact[0] for key, fact in essences[0].items() if key[0] == "asked"}) == 30  # type: ignore[index]


@pytest.mark.parametrize("after", [9, 70])
def test_a_run_resumes_from_any_prefix_of_its_log(study_of: Callable[..., Study], tmp_path: Path, after: int) -> None:
    with begun(tmp_path / "whole") as whole, RunLog.create(tmp_path / "cut") as cut:
        run(study_of(), whole, SimulatedExecutor(3))
        cut.append(*list(whole.events())[:after])
        run(study_of(), cut, SimulatedExecutor(2))
        assert essence(cut) == essence(whole)


def test_a_run_that_starts_from_members_resumes_from_its_log(study_of: Callable[..., Study], tmp_path: Path) -> None:
    with begun(tmp_path / "first") as first:
        run(study_of(), first, SimulatedExecutor(3))
        starts = [event.genome for event in first.events() if isinstance(event, Asked)][-4:]
    study = study_of(starts=starts)
    assert study.identity["starts"] == [list(start) for start in starts]
    with begun(tmp_path / "whole") as whole, RunLog.create(tmp_path / "cut") as cut:
        run(study, whole, SimulatedExecutor(3))
        cut.append(*list(whole.events())[:40])
        run(study_of(starts=starts), cut, SimulatedExecutor(2))
        assert essence(cut) == essence(whole)
        asked = [event.genome for event in whole.events() if isinstance(event, Asked)]
    assert tuple(asked[:7]) == (*starts, *study.space.lineage.founders)  # type: ignore[union-attr]


def test_candidates_that_fail_are_survived(study_of: Callable[..., Study], tmp_path: Path) -> None:
    with begun(tmp_path / "run") as log:
        progress = run(study_of(), log, SimulatedExecutor(2, fails=lambda job: job.number % 3 == 1))
    assert len(progress.losses) == 30


def test_a_hundred_members_hold_no_weights(study_of: Callable[..., Study], tmp_path: Path) -> None:
    study = study_of(candidates=115, members=100)
    assert isinstance(study.space, LineageSpace)
    optimizer = study.optimizer()
    assert isinstance(optimizer, Generational)
    assert isinstance(optimizer.engine, Breeder)
    with begun(tmp_path / "run") as log:
        search(study, log, SimulatedExecutor(4), optimizer).run()
    members = optimizer.engine.members
    assert len(set(members)) == 100
    most = 4 * len(study.space.lineage.lattice.cells)
    assert max(map(len, members)) <= most, "a member is never longer than the lattice"


def test_members_are_exported_as_they_were_scored(study_of: Callable[..., Study], tmp_path: Path) -> None:
    study = study_of()
    with begun(tmp_path / "run") as log:
        run(study, log, SimulatedExecutor())
        genomes = [event.genome for event in log.events() if isinstance(event, Asked)]
    library = Library()
    resident = ResidentModel(study.space.decode(genomes[0]), library)
    for number in (1, 12, 29):
        recipe = study.space.decode(genomes[number])
        resident.hold(recipe)
        exported = Checkpoint(export_model(recipe, library, tmp_path / f"{number}", Provenance("a test")))
        held = resident.model.state_dict()
        assert all(torch.equal(exported.tensor(name), held[name]) for name in exported.names)


def test_search_report_export(bred: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "candidates=6", "run_dir=runs/a"]) == 0
    assert "members bred from base, math, ja with" in capsys.readouterr().out
    assert "genes" not in (bred / "runs" / "a" / "report.html").read_text().split("search space")[1][:200]
    assert main(["export", "runs/a", "out"]) == 0
    assert main(["export", "out/recipe.yaml", "again"]) == 0
    weights = [(Path(name) / "model.safetensors").read_bytes() for name in ("out", "again")]
    assert weights[0] == weights[1]
    assert main(["export", "runs/a", "fourth", "--candidate", "3"]) == 0
    assert "candidate 3 of the run a" in (Path("fourth") / "README.md").read_text()
    assert main(["export", "runs/a", "none", "--candidate", "6"]) == 2
    assert "there is no 6: 6 were asked" in capsys.readouterr().err
    assert main(["validate", "search_spaces/bred.yaml"]) == 0
    assert "bred from base, math, ja" in capsys.readouterr().out


def asked(run_dir: Path) -> dict[str, str]:
    """Digests of what a run asked, by its name in the finals."""
    with RunLog.read(run_dir) as log:
        return {f"candidate {event.number}": event.digest for event in log.events() if isinstance(event, Asked)}


def finalists(run_dir: Path) -> dict[str, str]:
    with RunLog.read(run_dir) as log:
        assessed = [event for event in log.events() if isinstance(event, Assessed) and event.kind == "finalist"]
    return {event.name: event.digest for event in assessed if event.name in asked(run_dir)}


def test_members_are_bred_on(bred: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "candidates=5", "run_dir=runs/a"]) == 0
    assert main([*SEARCH, "candidates=3", "run_dir=runs/b", "start_from=runs/a", "seed=1"]) == 0
    best = finalists(bred / "runs" / "a")
    assert len(best) == 2
    assert {*[*asked(bred / "runs" / "b").values()][:2]} == {*best.values()}
    shutil.rmtree("runs/a")  # the later run does not need it any more
    assert main(["resume", "runs/b", "--candidates", "5"]) == 0
    with pytest.raises(SystemExit):
        main(["search", "search_space=tiny", "fitness=two", "run_dir=runs/c", "start_from=runs/b"])
    message = capsys.readouterr().err
    assert "bred its recipes, which have no genes. Start from it in a space with `breed`, or export one" in message
    assert not (bred / "runs" / "c").exists()


def test_members_are_bred_from_an_ordinary_run(bred: Path, study_of: Callable[..., Study]) -> None:
    ordinary = ["search", "search_space=tiny", "fitness=two", "optimizer=random", "candidates=3", "finalists=2"]
    assert main([*ordinary, "run_dir=runs/a"]) == 0
    space, wanted = study_of().space, recipes_of(Path("runs/a"))
    assert isinstance(space, LineageSpace)
    starts = starts_of(Path("runs/a"), space)
    assert len(starts) == len(wanted) == 2
    for start, recipe in zip(starts, wanted.values(), strict=True):
        assert isinstance(start, tuple)
        member, own = Merge(space.decode(start), Library()), Merge(recipe, Library())
        for stretch in stretches_of(own.donor):
            torch.testing.assert_close(member.tensor(stretch.name), own.tensor(stretch.name), rtol=1e-5, atol=1e-5)
    recipe = next(iter(wanted.values()))
    undigested = {name: ModelRef(path=model.path) for name, model in recipe.models.items()}
    Path("by_hand.yaml").write_text(dump_recipe(recipe.model_copy(update={"models": undigested})))
    assert starts_of(Path("by_hand.yaml"), space) == starts[:1]


def test_what_cannot_be_bred_is_refused(bred: Path, make_settings: Callable[..., Settings], zoo: Path) -> None:
    models = {"base": str(zoo / "base"), "math": str(zoo / "math")}

    def problem(breed: Any, **optimizer: Any) -> str:
        space = {"evomerge": "space/1", "models": models, "breed": breed}
        with pytest.raises(ConfigError) as caught:
            assemble(make_settings(search_space=space, optimizer={"name": "m2n2", **optimizer}))
        return str(caught.value)

    pair = {"experts": ["base", "math"]}
    assert 'breed.experts[1]: "ja" is not a model.' in problem({"experts": ["base", "ja"]})
    assert 'breed.origin: "bas" is not a model. Did you mean "base"?' in problem(pair | {"origin": "bas"})
    assert '"math" stands twice' in problem({"experts": ["math", "math"]})
    assert "Drop its span" in problem(pair | {"chromosomes": [{"span": [0, 5]}]})
    chromosomes = [{"roles": ["mlp"]}, {"roles": ["mlp"], "layers": [0, 0]}]
    assert "breed.chromosomes[1]: no tensor is left" in problem(pair | {"chromosomes": chromosomes})
    assert '"nsga2" moves genes' in problem(pair, name="nsga2")


@pytest.mark.slow
@pytest.mark.parametrize("start", [[], ["start_from=runs/first"]])
def test_kill_9_then_resume_is_the_run_that_was_not_killed(bred: Path, start: list[str]) -> None:
    if start:
        assert main([*SEARCH, "candidates=20", "run_dir=runs/first", "seed=1"]) == 0
    survives_a_kill([*SEARCH, "candidates=120", "optimizer.members=100", *start], bred, after=40)
