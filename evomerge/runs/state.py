"""The state of a run: how far it is and whether anybody is at it, told without reading its answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evomerge.runs.events import Asked, Failed, Finished, Told
from evomerge.runs.log import RunLog, is_written


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is.

    Attributes:
        scored: Candidates whose worth the optimiser learnt.
        failed: Those that could not be merged or scored.
        in_flight: Those that were proposed and are neither.
        phase: `finished`: searched and assessed. `running`: a process is at it. `interrupted`: neither.
        reason: Why it ended, if it is finished.
    """

    scored: int
    failed: int
    in_flight: int
    phase: Literal["finished", "running", "interrupted"]
    reason: str = ""

    @property
    def asked(self) -> int:
        """All candidates so far."""
        return self.scored + self.failed + self.in_flight

    def words(self, budget: int) -> str:
        """In one line.

        Args:
            budget: Candidates that the search may ask for.
        """
        parts = [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.in_flight} in flight"] if self.in_flight and self.phase != "finished" else []
        details = f" ({', '.join(parts)})" if parts else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.scored} of {budget} scored{details}; {self.phase}{reason}"


def state_of(folder: Path) -> State:
    """The state of the run in a folder.

    Raises:
        ConfigError: If there is no run in it.
    """
    with RunLog.read(folder) as log:
        asked, told, failed = (log.numbers(kind) for kind in (Asked, Told, Failed))
        (ended, fields), (proposed, _) = log.last(Finished), log.last(Asked)
    counts = len(told - failed), len(failed), len(asked - told - failed)
    if ended > proposed:  # a finished run may be resumed with a larger budget
        return State(*counts, "finished", str(fields["reason"]))
    return State(*counts, "running" if is_written(folder) else "interrupted")
