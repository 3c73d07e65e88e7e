"""Every experiment that ships composes and runs, cut down to a few candidates."""

from pathlib import Path

import pytest

from evomerge import shipped
from evomerge.cli import main
from evomerge.documents import read_yaml
from evomerge.optimizers.registry import OPTIMIZERS
from evomerge.settings import load_settings

CUT_DOWN = [
    *("candidates=4", "finalists=1"),
    *("fitness.items.search=5", "fitness.items.selection=3", "fitness.items.test=3"),
]
QUICK = ("zoo_front", "zoo_mean")


def is_grouped(experiment: str) -> bool:
    """Whether the genes of its space are repeated over bands of layers, of which the micro zoo has few."""
    defaults = read_yaml(shipped.find("experiments", experiment))["defaults"]
    (space,) = [choice["override /search_space"] for choice in defaults if "override /search_space" in choice]
    return "layers" in (read_yaml(shipped.find("search_spaces", space)).get("groups") or {})


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in shipped.names("experiments")],
)
def test_an_experiment_runs(name: str, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = ["search_space.groups.layers=2"] if is_grouped(name) else []
    monkeypatch.chdir(tmp_path)
    assert main(["search", f"experiment={name}", f"zoo={zoo}", "run_dir=run", *CUT_DOWN, *fewer]) == 0
    settings = load_settings(tmp_path / "run")
    assert settings.candidates == 4
    assert settings.optimizer["name"] in OPTIMIZERS
    assert (tmp_path / "run" / "report.html").is_file()
