from pathlib import Path

from evomerge.cli.compare import _names


def test_runs_of_a_sweep_are_named_by_what_differs() -> None:
    sweep = [Path(f"runs/sweep/candidates=20,optimizer={name},seed=1") for name in ("nsga2", "random")]
    assert _names(sweep) == ["optimizer=nsga2", "optimizer=random"]


def test_a_run_alone_and_runs_side_by_side_keep_their_names() -> None:
    assert _names([Path("runs/candidates=20,seed=1")]) == ["candidates=20,seed=1"]
    assert _names([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
