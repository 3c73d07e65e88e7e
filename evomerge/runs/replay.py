"""Replay: bring a fresh optimiser to the state it had, from the log alone."""

from __future__ import annotations

from evomerge.errors import EvomergeError
from evomerge.fitness.examiner import Examiner
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.runs.events import Asked, Told
from evomerge.runs.log import RunLog
from evomerge.runs.progress import Progress
from evomerge.spaces.genes import Genome


def replay(log: RunLog, optimizer: Optimizer, examiner: Examiner) -> Progress:
    """Repeat every logged ask and tell on a fresh optimiser.

    Args:
        log: The run's.
        optimizer: Built as it was when the run began, and not used since.
        examiner: The run's.

    Raises:
        EvomergeError: If the optimiser proposes something else than it did then.
    """
    progress = Progress()
    for event in log.events():
        if isinstance(event, Asked):
            _check_same(event.number, event.genome, optimizer.ask())
        progress.take(event)
        if isinstance(event, Told):
            optimizer.tell(event.number, scored(event, progress, examiner))
    return progress


def scored(told: Told, progress: Progress, examiner: Examiner) -> Scored:
    """What the optimiser learns of a candidate: what the log says, and the answers behind it."""
    source = progress.sources[told.number]
    if told.number in progress.failures:
        return Scored(told.losses, told.violations, told.errors)
    expected_I = examiner.exam(progress.generations[source], progress).expected(progress.sheets[source])
    return Scored(told.losses, told.violations, told.errors, expected_I)


def _check_same(number: int, logged: Genome, proposed: Genome | None) -> None:
    if proposed != logged:
        raise EvomergeError(
            f"candidate {number}: the log says {logged}, this installation proposes {proposed}. The run was made with "
            "other versions of the libraries or on other hardware; environment.json in the run's folder lists them."
        )
