"""The main job through the commands, on a micro zoo."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from evomerge.cli import main
from evomerge.runs import Asked, Assessed, RunLog, Told
from evomerge.runs.state import state_of
from evomerge.settings import load_settings, save_settings
from tests.conftest import laid
from tests.test_search import essence

SEARCH = ["search", "search_space=tiny", "candidates=12", "finalists=2"]
NSGA2 = [*SEARCH, "fitness=two", "optimizer=nsga2", "optimizer.population=4"]


def facts(run_dir: Path) -> dict[object, object]:
    """Candidates and scores of a run, whatever the order in which workers answered."""
    with RunLog.read(run_dir) as log:
        return essence(log)


def snapshot(run_dir: Path) -> dict[str, bytes]:
    """What lies in a run's folder, but for what SQLite makes while a log is open."""
    return {file.name: file.read_bytes() for file in run_dir.iterdir() if file.suffix not in (".db-wal", ".db-shm")}


@pytest.fixture(scope="module")
def finished(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twelve candidates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(laid(tmp_path_factory.mktemp("desk"), zoo))
        assert main([*NSGA2, "run_dir=runs/a"]) == 0
        return Path("runs/a").absolute()


@pytest.fixture
def run_dir(desk: Path, finished: Path) -> Path:
    """A copy of it, on a desk of its own."""
    return Path(shutil.copytree(finished, desk / "runs" / "a"))


def test_search_report_export_evaluate(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {file.name for file in run_dir.iterdir()} >= {"run.yaml", "run.db", "environment.json", "report.html"}
    scores = {tuple(event) for event in [tuple(map(str, fact)) for fact in facts(run_dir)]}
    assert len(scores) == len(facts(run_dir))
    assert len({str(fact) for key, fact in facts(run_dir).items() if key[0] == "told"}) > 1  # type: ignore[index]

    capsys.readouterr()
    assert main(["report", str(run_dir)]) == 0
    assert "uniform" in capsys.readouterr().out

    assert main(["export", str(run_dir), "out"]) == 0
    exported = AutoModelForCausalLM.from_pretrained("out")
    assert all(torch.isfinite(parameter).all() for parameter in exported.parameters())

    fitness = str(run_dir.parent.parent / "fitness" / "two.yaml")
    capsys.readouterr()
    assert main(["evaluate", "out", "--fitness", fitness, "--split", "test"]) == 0
    printed = capsys.readouterr().out
    best = json.loads((run_dir / "environment.json").read_text())  # the run's own record of what it ran on
    assert best["packages"]["torch"]
    assert main(["export", str(run_dir), "out"]) == 2  # it exists already
    with RunLog.read(run_dir) as log:
        tests = [e for e in log.events() if isinstance(e, Assessed) and e.split == "test" and e.kind == "finalist"]
    means = {repr(float(np.mean(event.responses["unseen"].astype(np.float64)))) for event in tests}
    assert any(mean in printed for mean in means)


def cut(run_dir: Path, kind: str, number: int) -> None:
    """Leave of a run's log what had happened before so many events of a kind."""
    with contextlib.closing(sqlite3.connect(run_dir / "run.db")) as connection, connection:
        rows = connection.execute("SELECT seq FROM events WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        connection.execute("DELETE FROM responses WHERE seq >= ?", rows[number])
        connection.execute("DELETE FROM events WHERE seq >= ?", rows[number])


def test_a_report_says_what_is_there_so_far_and_what_to_do(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said() -> str:
        capsys.readouterr()
        assert main(["report", str(run_dir)]) == 0
        return " ".join(capsys.readouterr().out.split())

    resume = f"Nothing scored is lost. Go on with it: evomerge resume {run_dir}"
    finished = said()
    assert f"{run_dir}: 12 of 12 scored; finished: the budget is spent." in finished
    assert resume not in finished
    cut(run_dir, "Told", 3)
    assert re.search(r"3 of 12 scored \(\d in flight\); interrupted\. No finalist has been scored on unseen", said())
    assert re.search(r"Best so far, as the search believes: candidate [012] with math 0\.\d+", said())
    assert resume in said()
    assert "Finalists" not in said()
    cut(run_dir, "Asked", 0)
    assert "0 of 12 scored; interrupted. No candidate has been tried yet." in said()
    assert resume in said()


def test_a_finalist_can_be_exported_by_name(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run_dir), "out", "--finalist", "candidate 99"]) == 2
    message = capsys.readouterr().err
    assert '"candidate 99" is not a finalist. Finalists: candidate ' in message
    name = message.rsplit("Finalists: ")[1].split(",")[0]
    assert main(["export", str(run_dir), "out", "--finalist", name]) == 0
    assert f"It is {name} of the run a" in (Path("out") / "README.md").read_text()


def test_an_exported_recipe_makes_the_same_model_again(run_dir: Path) -> None:
    assert main(["export", str(run_dir), "first"]) == 0
    assert main(["export", "first/recipe.yaml", "second"]) == 0
    weights = [(Path(name) / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


def test_a_finished_run_is_not_searched_again_but_may_grow(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = facts(run_dir)
    assert main(["resume", str(run_dir)]) == 0
    assert "is complete" in capsys.readouterr().out
    assert facts(run_dir) == before
    assert main(["resume", str(run_dir), "--candidates", "3"]) == 2
    assert main(["resume", str(run_dir), "--candidates", "16"]) == 0
    after = facts(run_dir)
    assert {key: after[key] for key in before} == before
    assert ("told", 15) in after


def test_a_resumption_that_was_stopped_before_it_asked_goes_on_unbidden(run_dir: Path) -> None:
    save_settings(load_settings(run_dir).model_copy(update={"candidates": 14}), run_dir)
    assert main(["resume", str(run_dir)]) == 0
    assert state_of(run_dir).asked == 14


def test_a_run_may_end_sooner(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(run_dir, "Told", 5)
    num_asked = sum(key[0] == "asked" for key in facts(run_dir))  # type: ignore[index]
    before = snapshot(run_dir)
    capsys.readouterr()
    assert main(["resume", str(run_dir), "--candidates", "4"]) == 2
    assert f"--candidates: 4 are fewer than the {num_asked} that were asked already." in capsys.readouterr().err
    assert main(["resume", str(run_dir), "--seconds", "-1"]) == 2
    assert "resume: seconds: -1.0 is not above 0. Give more than 0." in capsys.readouterr().err
    assert snapshot(run_dir) == before

    assert main(["resume", str(run_dir), f"candidates={num_asked}"]) == 0
    after = facts(run_dir)
    assert ("told", num_asked - 1) in after
    assert ("asked", num_asked) not in after
    assert load_settings(run_dir).candidates == num_asked
    assert state_of(run_dir).phase == "finished"


def test_a_run_that_spent_its_answers_may_get_more(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NSGA2, "items=90", "run_dir=runs/short"]) == 0
    short = state_of(Path("runs/short")).scored
    assert short < 12
    assert main(["resume", "runs/short", "--items", "1000"]) == 0
    assert state_of(Path("runs/short")).scored == 12


def test_a_run_starts_from_the_finalists_of_another(run_dir: Path) -> None:
    portfolio = ["fitness=one", "optimizer=ng_portfolio", "optimizer.population=4"]
    assert main([*SEARCH, *portfolio, "start_from=runs/a", "run_dir=runs/b"]) == 0
    with RunLog.read(run_dir) as log:
        events = list(log.events())
    genomes = {f"candidate {event.number}": event.genome for event in events if isinstance(event, Asked)}
    finalists = {genomes[event.name] for event in events if isinstance(event, Assessed) and event.name in genomes}
    with RunLog.read(run_dir.parent / "b") as log:
        asked = [event.genome for event in log.events() if isinstance(event, Asked)]
    assert len(finalists) == 2
    assert set(asked[:2]) == finalists

    shutil.rmtree(run_dir)  # the later run does not need it any more
    assert main(["resume", "runs/b", "--candidates", "16"]) == 0


def test_another_run_in_the_folder_is_refused(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in run_dir.iterdir()}
    with pytest.raises(SystemExit) as stop:
        main([*NSGA2, "seed=1", "run_dir=runs/a"])
    assert stop.value.code == 2
    assert "runs/a: holds another run. Go on with it: `evomerge resume runs/a`" in capsys.readouterr().err
    assert {file: file.stat().st_mtime_ns for file in run_dir.iterdir()} == before


def test_changed_files_stop_a_resumption(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = run_dir / "run.yaml"
    settings.write_text(settings.read_text().replace("seed: 0", "seed: 5"))
    before = snapshot(run_dir)
    assert main(["resume", str(run_dir), "--candidates", "16"]) == 2
    assert "seed changed since the run began" in capsys.readouterr().err
    assert snapshot(run_dir) == before


def test_an_optimiser_that_plans_for_its_budget_does_not_grow(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = desk / "runs" / "planned"
    planned = ["fitness=two", "optimizer=map", "optimizer.population=4", "optimizer.budget=null", f"run_dir={run_dir}"]
    assert main([*SEARCH, *planned]) == 0
    before = snapshot(run_dir)
    capsys.readouterr()
    assert main(["resume", str(run_dir), "--candidates", "40"]) == 2
    assert "--candidates: map plans for its budget, and with another one it would not" in capsys.readouterr().err
    assert snapshot(run_dir) == before


def test_a_sweep_goes_on_where_one_run_cannot_be(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["search", "-m", "search_space=tiny", "fitness=two", "candidates=2", "finalists=1"]
    assert main([*argv, "optimizer=random,cma_lr,nsga2"]) == 2
    (sweep,) = (desk / "runs").iterdir()
    assert {name.rpartition("optimizer=")[2] for name in map(str, sweep.glob("*/run.db"))} == {
        "random/run.db",
        "nsga2/run.db",
    }
    message = capsys.readouterr().err
    assert '"cma_lr" takes one objective, but the fitness has 2' in message
    assert re.search("This run of the sweep is left out: .*optimizer=cma_lr", message)


def test_a_sweep_makes_one_folder_per_run(desk: Path) -> None:
    argv = ["search", "-m", "search_space=tiny", "fitness=one", "candidates=4", "finalists=1"]
    assert main([*argv, "seed=1", "optimizer=random,nsga2"]) == 0
    (sweep,) = (desk / "runs").iterdir()
    names = {folder.name for folder in sweep.iterdir() if folder.is_dir()}
    assert len(names) == 2
    assert all("optimizer=" in name and "seed=" in name for name in names)
    for name in names:
        assert ("told", 3) in facts(sweep / name)


@pytest.mark.slow
def test_kill_9_then_resume_is_the_run_that_was_not_killed(desk: Path) -> None:
    survives_a_kill([*NSGA2, "candidates=40"], desk, after=15)


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_resume(desk: Path) -> None:
    command = [sys.executable, "-m", "evomerge.cli", *NSGA2, "candidates=400", "run_dir=runs/stopped"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    _wait_for_candidates(desk / "runs" / "stopped", 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "evomerge resume runs/stopped" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_ray_gives_the_run_that_inline_gives(run_dir: Path) -> None:
    assert main([*NSGA2, "run_dir=runs/ray", "executor=ray", "executor.workers=2"]) == 0
    assert facts(run_dir.parent / "ray") == facts(run_dir)


def survives_a_kill(search: list[str], desk: Path, after: int) -> None:
    """Assert that a search that is killed after some candidates, then resumed, is the search that was not killed."""
    whole, killed = desk / "runs" / "whole", desk / "runs" / "killed"
    command = [sys.executable, "-m", "evomerge.cli", *search]
    assert subprocess.run([*command, f"run_dir={whole}"], check=False).returncode == 0
    process = subprocess.Popen([*command, f"run_dir={killed}"])
    _wait_for_candidates(killed, after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(facts(killed)) < len(facts(whole))
    assert main(["resume", str(killed)]) == 0
    assert facts(killed) == facts(whole)


def _wait_for_candidates(run_dir: Path, number: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (run_dir / "run.db").exists():
            with RunLog.read(run_dir) as log:
                if sum(isinstance(event, Told) for event in log.events()) >= number:
                    return
        time.sleep(0.05)
    raise AssertionError(f"{run_dir} has no {number} candidates after two minutes")
