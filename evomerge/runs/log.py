"""The log: one SQLite file per run, append-only, written by the driver alone."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from evomerge.errors import ConfigError, EvomergeError
from evomerge.runs import events
from evomerge.runs.events import Event

FILE_NAME = "run.db"

_SCHEMA = """
CREATE TABLE events (seq INTEGER PRIMARY KEY, time_s REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE responses (
    seq INTEGER NOT NULL REFERENCES events, task TEXT NOT NULL, items BLOB NOT NULL, scores BLOB NOT NULL,
    PRIMARY KEY (seq, task)
);
CREATE TABLE items (
    task TEXT NOT NULL, item INTEGER NOT NULL, split TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (task, item)
);
"""

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        events.Started,
        events.Asked,
        events.Evaluated,
        events.Failed,
        events.Told,
        events.Assessed,
        events.Finished,
    )
}


class RunLog:
    """Events of one run, durable when `append` returns.

    Responses are float32 blobs beside their event. A `kill -9` at any instant leaves a prefix of the appended events.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        """Use `create`, `open` or `read` instead."""
        self.folder = folder
        self._connection = connection
        self._lock = lock

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Begin a run in a folder that holds none.

        Raises:
            ConfigError: If the folder holds a run already.
        """
        check_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError.at(str(folder), f"cannot be made: {error.strerror}. Choose another run_dir.") from None
        lock = _locked(folder)
        draft = folder / f".{FILE_NAME}"
        draft.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(draft)) as connection:
            connection.executescript(_SCHEMA)
        draft.replace(folder / FILE_NAME)  # a reader finds either no log or one with its tables
        return cls(folder, _connect(folder / FILE_NAME), lock)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Go on with a run, as its only writer.

        Raises:
            ConfigError: If there is no run in the folder, or another process writes to it.
        """
        check_there(folder)
        return cls(folder, _connect(folder / FILE_NAME), _locked(folder))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Look at a run, which may be going on.

        Raises:
            ConfigError: If there is no run in the folder.
        """
        check_there(folder)
        uri = f"{(folder / FILE_NAME).absolute().as_uri()}?mode=ro"
        return cls(folder, sqlite3.connect(uri, uri=True), None)

    def append(self, *batch: Event) -> None:
        """Write events in one transaction: after a crash all of them are there, or none."""
        with self._connection:
            for event in batch:
                payload = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
                answered, scores = payload.pop("items", {}), payload.pop("responses", {})
                row = (time.time(), type(event).__name__, json.dumps(payload, default=dict))
                seq = self._connection.execute(
                    "INSERT INTO events (time_s, kind, payload) VALUES (?, ?, ?)", row
                ).lastrowid
                self._connection.executemany(
                    "INSERT INTO responses VALUES (?, ?, ?, ?)",
                    [(seq, task, _blob(answered[task], "<i4"), _blob(scores[task], "<f4")) for task in scores],
                )

    def events(self) -> Iterator[Event]:
        """All events, oldest first."""
        for _, event in self.timed_events():
            yield event

    def timed_events(self) -> Iterator[tuple[float, Event]]:
        """All events with the seconds since the epoch at which they were written."""
        for seq, time_s, kind, text in self._connection.execute("SELECT * FROM events ORDER BY seq").fetchall():
            payload = json.loads(text)
            if kind in ("Evaluated", "Assessed"):
                payload["items"], payload["responses"] = self._answers(seq)
            yield time_s, _KINDS[kind](**{name: _plain(value) for name, value in payload.items()})

    def last(self, kind: type[Event]) -> tuple[int, Mapping[str, Any]]:
        """Where the newest event of a kind stands in the log, from 1 on, and its fields but for answers; 0 for none."""
        query = "SELECT seq, payload FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1"
        row = self._connection.execute(query, (kind.__name__,)).fetchone()
        return (row[0], json.loads(row[1])) if row else (0, {})

    def numbers(self, kind: type[Event]) -> set[int]:
        """The candidates that have an event of a kind."""
        rows = self._connection.execute("SELECT payload FROM events WHERE kind = ?", (kind.__name__,)).fetchall()
        return {int(json.loads(text)["number"]) for (text,) in rows}

    def write_items(self, rows: Iterator[tuple[str, int, str, str]]) -> None:
        """Record which item is which: (task, position, split, digest)."""
        with self._connection:
            self._connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)

    def items(self) -> dict[tuple[str, int], tuple[str, str]]:
        """(split, digest) of every item by (task, position)."""
        rows = self._connection.execute("SELECT * FROM items").fetchall()
        return {(task, item): (split, digest) for task, item, split, digest in rows}

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self, seq: int) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
        rows = self._connection.execute(
            "SELECT task, items, scores FROM responses WHERE seq = ? ORDER BY task", (seq,)
        ).fetchall()
        items = {task: tuple(np.frombuffer(asked, "<i4").tolist()) for task, asked, _ in rows}
        return items, {task: np.frombuffer(scores, "<f4") for task, _, scores in rows}


def check_free(folder: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        ConfigError: If it does.
    """
    if (folder / FILE_NAME).exists():
        what = f"holds another run. Go on with it: `evomerge resume {folder}`; or choose another run_dir."
        raise ConfigError.at(str(folder), what)


def is_written(folder: Path) -> bool:
    """Whether a process writes to a run at this moment."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def check_there(folder: Path) -> None:
    """Refuse a folder that holds no run.

    Raises:
        ConfigError: If it holds none.
    """
    if not (folder / FILE_NAME).is_file():
        below = sorted(str(file.parent) for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{FILE_NAME}"))
        how = f"Name one of those in it: {', '.join(below)}" if below else "Check the path; `evomerge ls runs` lists runs"
        raise ConfigError.at(str(folder), f"holds no run: there is no {FILE_NAME}. {how}.")


def _locked(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigError.at(
            str(folder), "is being written by another process. Wait for it, or stop it first."
        ) from None
    return lock


def _blob(values: Any, dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def identity_of(log: RunLog) -> Mapping[str, Any]:
    """What the run was started with.

    Raises:
        EvomergeError: If the log has no beginning.
    """
    first = next(log.events(), None)
    if not isinstance(first, events.Started):
        raise EvomergeError(
            f"{log.folder}: the log has no beginning. The run ended before it started; delete the folder."
        )
    return first.identity
