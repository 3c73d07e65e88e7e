"""The small commands."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evomerge import __version__
from evomerge.cli import COMMANDS, main
from evomerge.documents import parse
from evomerge.recipe.presets import PRESETS
from evomerge.recipe.recipe import PipeRule
from evomerge.runs import Asked, RunLog, Started, Told


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"evomerge {__version__}\n"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "search"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: evomerge {command}" in capsys.readouterr().out


def test_search_explains_itself_before_anything_is_named(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["search_space=tiny"]):
        with contextlib.suppress(SystemExit):
            main(["search", "--help", *more])
        out = capsys.readouterr().out
        assert "usage: evomerge search search_space=NAME fitness=NAME" in out
        assert "candidates: 200" in out


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -u -m evomerge.cli search --help | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_help_is_instant() -> None:
    """The overview must not import torch."""
    script = "import sys; from evomerge.cli import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_command_leaves_garbage_collection_on() -> None:
    """It is off while a command is imported, in a process of its own because here all are imported."""
    script = "import gc, sys; from evomerge.cli import main; main(['ls', 'operators']); sys.exit(not gc.isenabled())"
    assert subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_ls_shows_theirs_and_ours(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    assert "A tiny space for tests." in out
    assert "zoo_ties" in out
    assert "@package" not in out  # which is for Hydra
    assert all(name in out for name in ("nsga2", "cma_lr", "task_arithmetic", "slerp"))


@pytest.mark.parametrize("name", PRESETS)
def test_show_explains_every_operator(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "operator", name]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith(f"{name}: {(PRESETS[name].__doc__ or '').split()[0]}")
    assert all(field in words for field in PRESETS[name].model_fields if field not in ("where", "use"))


def test_show_expands_an_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "operator", "ties@mergekit"]) == 0
    out = capsys.readouterr().out
    pipe = parse(PipeRule, yaml.safe_load(out[out.index("pipe:") :]), "shown").pipe
    assert pipe == PRESETS["ties@mergekit"].model_validate({"use": "ties@mergekit"}).pipe(3)
    assert "(0, 1], one for all or one for each expert" in out
    assert main(["show", "operator", "tiess"]) == 2
    assert '"tiess" is no operator. Did you mean "ties"?' in capsys.readouterr().err


def test_zoo_build_is_idempotent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "zoo"
    assert main(["zoo", "build", str(folder), "--plan", "micro"]) == 0
    assert "holds the models base, math, ja, str" in capsys.readouterr().out
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert main(["zoo", "build", str(folder), "--plan", "micro"]) == 0
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == before
    assert main(["zoo", "build", str(folder), "--plan", "micro", "--seed", "1"]) == 2


def test_doctor_finds_this_installation_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) in (0, 1)  # 1 only where the disk is nearly full
    out = capsys.readouterr().out
    assert "torch" in out
    assert "search_spaces" in out


def test_show_says_what_an_operator_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    def said(name: str) -> str:
        assert main(["show", "operator", name]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "rules: [{use: ties}]" in said("ties")
    assert "calibrate" not in said("ties")
    assert "It reads gram of every expert, on data that the recipe names under calibration." in said("regmean")
    assert "evomerge calibrate statistics RECIPE" in said("regmean")
    assert "It reads act_mean of the origin" in said("aim")
    assert "calibrate" not in said("regmean++").split("calibration.")[1]  # which measures anew for each recipe


def test_ls_says_how_far_runs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        with RunLog.create(tmp_path / "runs" / name) as log:
            log.append(Started({}), Asked(0, (0.5,), "d"), Told(0, (0.5,)))
    settings = {"search_space": {}, "fitness": {}, "optimizer": {}, "executor": {"name": "inline"}, "candidates": 7}
    (tmp_path / "runs" / "a" / "run.yaml").write_text(yaml.safe_dump(settings))
    assert main(["ls", "runs"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "runs/a 1 of 7 scored; interrupted" in words
    assert "runs/b cannot be read: runs/b/run.yaml: there is no such file." in words
