import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evomerge.errors import ConfigError, EvomergeError
from evomerge.runs import Asked, Assessed, Evaluated, Failed, Finished, RunLog, Started, Told
from evomerge.runs.log import identity_of

RESPONSES = {"a": np.array([1, 0, 0.5], np.float32), "b": np.array([0.25], np.float32)}
ITEMS = {"a": (0, 3, 9), "b": (7,)}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with RunLog.create(tmp_path / "run") as log:
        yield log


def test_events_come_back_as_they_were(log: RunLog) -> None:
    events = [
        Started({"seed": 3, "models": {"base": "sha256:1"}}),
        Asked(0, (0.5, 3, "sum", True), "d0"),
        Evaluated(0, ITEMS, RESPONSES, merge_s=0.1, score_s=2.5, attempts=2, costs={"layers": 0.75}),
        Told(0, (0.25, 0.75)),
        Failed(1, "worker died", 2),
        Assessed("candidate 0", "finalist", "test", "d0", {"models": {}}, ITEMS, RESPONSES, costs={"layers": 0.75}),
        Finished("the budget is spent"),
    ]
    log.append(*events)
    back = list(log.events())
    assert [type(event) for event in back] == [type(event) for event in events]
    assert [back[i] for i in (0, 1, 3, 4, 6)] == [events[i] for i in (0, 1, 3, 4, 6)]
    for event in (back[2], back[5]):
        assert isinstance(event, Evaluated | Assessed)
        assert event.items == ITEMS
        assert event.costs == {"layers": 0.75}
        for task, scores in RESPONSES.items():
            np.testing.assert_array_equal(event.responses[task], scores)


@given(
    st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9), st.booleans(), st.text()))
)
def test_genomes_keep_values_and_types(genome: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder, RunLog.create(Path(folder)) as log:
        log.append(Asked(0, tuple(genome), "d"))  # type: ignore[arg-type]
        (event,) = log.events()
    assert isinstance(event, Asked)
    assert event.genome == tuple(genome)
    assert [type(value) for value in event.genome] == [type(value) for value in genome]


def test_failures_of_older_logs_cost_nothing(log: RunLog) -> None:
    with log._connection as connection:
        payload = '{"number": 0, "reason": "x", "attempts": 2}'
        connection.execute("INSERT INTO events (time_s, kind, payload) VALUES (0, 'Failed', ?)", (payload,))
    assert list(log.events())[-1] == Failed(0, "x", 2, 0.0, 0)


def test_a_batch_is_written_whole_or_not_at_all(log: RunLog) -> None:
    with pytest.raises(KeyError):
        log.append(Told(0, (0.5,)), Evaluated(1, {"a": (1,)}, RESPONSES))  # task b was never asked
    assert list(log.events()) == []


def test_a_reader_sees_a_run_that_goes_on(log: RunLog) -> None:
    log.append(Told(0, (0.5,)))
    with RunLog.read(log.folder) as reader:
        assert list(reader.events()) == [Told(0, (0.5,))]
        with pytest.raises(sqlite3.OperationalError):
            reader.append(Told(1, (0.5,)))


def test_one_writer_at_a_time(log: RunLog) -> None:
    with pytest.raises(ConfigError, match="is being written by another process"):
        RunLog.open(log.folder)
    log.close()
    RunLog.open(log.folder).close()


def test_a_folder_with_a_run_is_not_overwritten(log: RunLog) -> None:
    log.append(Told(0, (0.5,)))
    with pytest.raises(ConfigError, match=r"holds another run\. Go on with it: `evomerge resume"):
        RunLog.create(log.folder)
    assert list(log.events()) == [Told(0, (0.5,))]


@pytest.mark.parametrize("way", [RunLog.open, RunLog.read])
def test_a_folder_without_a_run_says_so(tmp_path: Path, way: type[RunLog]) -> None:
    with pytest.raises(ConfigError, match=r"holds no run: there is no run\.db"):
        way(tmp_path)  # type: ignore[call-arg, arg-type]


def test_items_are_known_by_digest(log: RunLog) -> None:
    log.write_items(iter([("a", 3, "search", "aa"), ("a", 4, "test", "bb")]))
    assert log.items() == {("a", 3): ("search", "aa"), ("a", 4): ("test", "bb")}


def test_identity_is_what_the_run_was_started_with(log: RunLog) -> None:
    with pytest.raises(EvomergeError, match="has no beginning"):
        identity_of(log)
    log.append(Started({"seed": 1}))
    assert identity_of(log) == {"seed": 1}


WRITER = """
import sys
from pathlib import Path
from evomerge.runs import RunLog, Told, Failed
log = RunLog.create(Path(sys.argv[1]))
number = 0
while True:
    log.append(Told(number, (0.5,)), Failed(number, "x"))
    print(number, flush=True)
    number += 1
"""


def test_kill_9_loses_nothing_acknowledged_and_leaves_no_half(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        acknowledged = int(process.stdout.readline())
    time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    process.wait()
    with RunLog.open(tmp_path / "run") as log:
        events = list(log.events())
    told = [event.number for event in events if isinstance(event, Told)]
    assert told == list(range(len(told)))
    assert len(told) > acknowledged
    assert len(events) == 2 * len(told)
