"""`evomerge pick` and `evomerge compare`, on real runs over a micro zoo."""

import re
from pathlib import Path

import pytest

from evomerge.cli import main

SEARCH = ["search", "search_space=tiny", "fitness=two", "optimizer=random", "candidates=6", "finalists=3"]


@pytest.fixture
def run_dir(desk: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main([*SEARCH, "run_dir=runs/a"]) == 0
    capsys.readouterr()
    return Path("runs/a")


def test_pick_says_what_why_and_how_to_export(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pick", str(run_dir), "--weights", "math=3", "--at-least", "japanese=0,unseen=0*base"]) == 0
    out = capsys.readouterr().out
    name = re.match(r"Picked (candidate \d+) of runs/a: the lowest mean loss, math times 3 and japanese times 1", out)
    assert name is not None
    assert "with japanese ≥ 0 and unseen ≥ 0, on selection items." in out
    assert "It has japanese ≥ 0 and unseen ≥ 0 with probability" in out
    assert re.search(r"Test items, which had no say: math 0\.\d{3} ± 0\.\d{3}, japanese", out)
    command = out.strip().splitlines()[-1]
    assert command == f"Export it: evomerge export runs/a OUT --finalist '{name[1]}'"
    assert main(["export", "runs/a", "out", "--finalist", name[1]]) == 0
    assert main(["pick", str(run_dir)]) == 0
    assert "the best mean of the objectives of 3 finalists, on selection items" in capsys.readouterr().out

    wrong = ["--weights", "maths=1,japanese=-1,math", "--at-least", "math=x*base", "--at-least", "ja=0.5*nobody,q=1"]
    assert main(["pick", str(run_dir), *wrong, "--at-most", "math=0.5"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        '--weights: "maths" is not an objective. Did you mean "math"?',
        "--weights: japanese=-1: a weight is a number from 0.",
        '--weights: "math" is no NAME=VALUE. Write math=0.4.',
        "--at-least: math=x*base: a limit is a number, a reference's name or a share of one, such as 0.95*base. "
        "References: base, math, ja, uniform.",
        "--at-least: ja=0.5*nobody: a limit is a number, a reference's name or a share of one, such as 0.95*base. "
        "References: base, math, ja, uniform.",
        '--at-least: "q" is neither an objective nor a task. Allowed: ja, japanese, math, unseen.',
        "--at-most: math is better when higher. Say --at-least math=0.5.",
    ]
    assert main(["pick", str(run_dir), "--weights", "math=0,japanese=0"]) == 2
    assert "all weights are 0" in capsys.readouterr().err
    assert main(["pick", str(run_dir), "--at-least", "math=1.01"]) == 2
    assert "runs/a: nobody has math ≥ 1.01 on the selection items, among 3 finalists." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["pick", str(run_dir), "--knee", "--weights", "math=1"])


@pytest.mark.slow
def test_compare_takes_runs_and_sweeps(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "run_dir=runs/b", "seed=1"]) == 0
    assert main([*SEARCH[:2], "fitness=one", *SEARCH[3:], "run_dir=runs/c"]) == 0
    capsys.readouterr()
    assert main(["compare", "runs/a", "runs/b"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^a +6 +240 ", out, re.MULTILINE)
    assert re.search(r"^b +6 +240 .* [+-]0\.\d{3} ±0\.\d{3}$", out, re.MULTILINE)
    assert re.search(r"^random +2 ", out, re.MULTILINE)
    assert "math 0, japanese 0: loss 1 on every objective" in " ".join(out.split())
    assert main(["compare", "runs"]) == 0
    out = capsys.readouterr().out
    assert "The runs have different objectives" in out
    assert re.search(r"^c +6 ", out, re.MULTILINE)
    for wrong in (["runs/a"], ["runs/a", "runs/a"]):
        assert main(["compare", *wrong]) == 2
        assert "runs/a: is one run; a comparison needs two." in capsys.readouterr().err
    assert main(["compare", "runs/a", "nowhere"]) == 2
    assert "nowhere: holds no run" in capsys.readouterr().err
