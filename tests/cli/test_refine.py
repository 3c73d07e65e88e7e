"""`evomerge refine` on a real run over a micro zoo, and a search that starts from what it wrote."""

from pathlib import Path

import pytest

from evomerge.cli import main
from evomerge.recipe import load_recipe
from evomerge.settings import load_settings

SEARCH = ["search", "search_space=tiny", "fitness=two", "optimizer=random", "candidates=3", "finalists=2"]


@pytest.mark.slow
def test_a_runs_recipe_is_refined_and_starts_the_next(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "run_dir=runs/a"]) == 0
    Path("texts.txt").write_text("ann had two books .\nann has three cats .\n")
    words = ["refine", "runs/a", "--candidate", "1", "--method", "adamerging", "--data", "texts.txt", "--rate", "0.001"]
    assert main([*words, "--out", "refined.yaml", "--steps", "3"]) == 0
    assert "Entropy is known to be a poor guide" in capsys.readouterr().out
    assert main([*SEARCH, "run_dir=runs/b", "start_from=refined.yaml"]) == 0
    (start,) = load_settings(Path("runs/b")).starts
    (rule,) = [load_recipe(Path("refined.yaml")).blends["mix"].all_rules[0]]
    assert set(rule.pipe[0].weigh) <= set(start.values())
    assert main(["refine", "refined.yaml", *words[2:], "--out", "other.yaml"]) == 2
    assert "--finalist and --candidate belong to runs" in capsys.readouterr().err
