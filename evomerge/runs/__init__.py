"""Runs: the append-only log of a search, and the way back from it."""

from evomerge.runs.events import Asked, Assessed, Event, Evaluated, Failed, Finished, Started, Told
from evomerge.runs.log import RunLog

__all__ = ["Asked", "Assessed", "Evaluated", "Event", "Failed", "Finished", "RunLog", "Started", "Told"]
