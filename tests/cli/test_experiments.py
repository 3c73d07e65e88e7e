"""Every experiment that ships composes and runs, cut down to a few candidates."""

from pathlib import Path

import pytest

from evomerge import shipped
from evomerge.cli import main
from evomerge.settings import load_settings

CUT_DOWN = [
    *("candidates=4", "finalists=1", "search_space.groups.layers=2"),
    *("fitness.items.search=5", "fitness.items.selection=3", "fitness.items.test=3"),
]


@pytest.mark.parametrize("name", shipped.names("experiments"))
def test_an_experiment_runs(name: str, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", f"experiment={name}", f"zoo={zoo}", "run_dir=run", *CUT_DOWN]) == 0
    settings = load_settings(tmp_path / "run")
    assert settings.candidates == 4
    assert settings.optimizer["name"] in ("nsga2", "cma_lr")
    assert (tmp_path / "run" / "report.html").is_file()
