"""How far a run is, and whether anybody is at it."""

from pathlib import Path

import pytest

from evomerge.errors import ConfigError
from evomerge.runs import Asked, Failed, Finished, RunLog, Started, Told
from evomerge.runs.state import state_of


def asked(number: int) -> Asked:
    return Asked(number, (0.5,), f"d{number}")


def test_a_run_is_followed_from_its_beginning_to_a_second_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunLog.create(run) as log:
        log.append(Started({}))
        assert state_of(run).words(3) == "0 of 3 scored; running"
        log.append(asked(0), asked(1), asked(2), Told(0, (0.5,)), Failed(1, "no weights"))
        assert state_of(run).words(3) == "1 of 3 scored (1 failed, 1 in flight); running"
    assert state_of(run).words(3) == "1 of 3 scored (1 failed, 1 in flight); interrupted"
    with RunLog.open(run) as log:
        log.append(Told(2, (0.5,)), Told(1, (1.0,)), Finished("the budget is spent"))
        assert state_of(run).words(3) == "2 of 3 scored (1 failed); finished: the budget is spent"
        log.append(asked(3))
        assert state_of(run).words(4) == "2 of 4 scored (1 failed, 1 in flight); running"


def test_looking_at_a_run_does_not_keep_others_from_it(tmp_path: Path) -> None:
    RunLog.create(tmp_path / "run").close()
    state_of(tmp_path / "run")
    RunLog.open(tmp_path / "run").close()


def test_no_run_is_told_with_those_below(tmp_path: Path) -> None:
    for name in ("b", "sweep/a"):
        RunLog.create(tmp_path / "runs" / name).close()
    with pytest.raises(ConfigError, match=rf"Name one of those in it: {tmp_path}/runs/b, {tmp_path}/runs/sweep/a\."):
        state_of(tmp_path / "runs")


def test_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        state_of(tmp_path)
