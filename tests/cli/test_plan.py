"""`evomerge plan` on a micro zoo."""

import json
import re
from pathlib import Path

import pytest

from evomerge.cli import main


def test_a_plan_measures_and_writes_only_what_it_is_told_to(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(desk.rglob("*"))
    command = ["plan", "search_space=tiny", "fitness=two", "optimizer=random", "candidates=30", "finalists=2"]
    assert main([*command, "--measure", "3", "--json", "plan.json"]) == 0
    printed = capsys.readouterr().out
    assert "Measured: the first 3 candidates of this search and its models, on 20 search items" in printed
    assert "Cost: 30 candidates take" in printed
    assert "They give 1,200 answers" in printed
    for objective in ("math", "japanese"):
        assert f"{objective}: two candidates are told apart" in printed
    assert "Better spent:" in printed
    assert set(desk.rglob("*")) - before == {desk / "plan.json"}
    found = json.loads((desk / "plan.json").read_text())
    assert found["plans"][0]["prospect"]["items"] == 40
    assert found["measured_items"] == {"math": 20, "ja": 20}


def test_one_candidate_is_too_few(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "search_space=tiny", "fitness=two", "--measure", "1"]) == 2
    assert "one candidate alone shows no spread. Measure two or more." in capsys.readouterr().err


def test_what_a_search_could_not_start_from_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "search_space=tiny", "fitness=two", "optimizer=random", "start_from=runs/none"])
    assert "runs/none: holds no run" in capsys.readouterr().err


def test_rivals_and_constraints_are_understood(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (desk / "fitness" / "two.yaml").read_text()
    text = text.replace("{math: [math], japanese: [ja]}", "{math: [math], lost: {forgetting: [ja], of: base}}")
    (desk / "fitness" / "three.yaml").write_text(f"{text}constraints: [{{task: math, at_least: 1.0}}]\n")
    assert main(["plan", "search_space=tiny", "fitness=three", "optimizer=random", "--measure", "3"]) == 0
    printed = capsys.readouterr().out
    assert "Constraints: 0 of the 3 measured candidates hold all of them" in printed
    assert "of which the models take" in printed
    assert re.search(r"lost: the best model is \w+ with 0\.000", printed)  # base, or another that lost nothing either
