"""Replay: bring a fresh optimiser to the state it had, from the log alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.errors import EvomergeError
from evomerge.execution import Responses
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.runs.events import Asked, Evaluated, Told
from evomerge.runs.log import RunLog
from evomerge.spaces.genes import Genome


@dataclass(slots=True)
class Progress:
    """How far a search has come.

    Attributes:
        genomes: Of every candidate asked, by number.
        digests: Of every candidate's recipe, by number.
        losses: Of every candidate told, by number.
        known: Responses by recipe digest, and the number of the candidate that gave them.
    """

    genomes: list[Genome] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    known: dict[str, tuple[int, Responses]] = field(default_factory=dict)

    @property
    def in_flight(self) -> list[int]:
        """Candidates asked but not told."""
        return [number for number in range(len(self.genomes)) if number not in self.losses]


def replay(log: RunLog, optimizer: Optimizer) -> Progress:
    """Repeat every logged ask and tell on a fresh optimiser.

    Args:
        log: The run's.
        optimizer: Built as it was when the run began, and not used since.

    Raises:
        EvomergeError: If the optimiser proposes something else than it did then.
    """
    progress = Progress()
    for event in log.events():
        match event:
            case Asked(number, genome, digest):
                _check_same(number, genome, optimizer.ask())
                progress.genomes.append(genome)
                progress.digests.append(digest)
            case Evaluated(number=number, responses=responses, twin=None):
                progress.known[progress.digests[number]] = (number, responses)
            case Told(number, losses):
                optimizer.tell(number, Scored(losses))
                progress.losses[number] = losses
    return progress


def _check_same(number: int, logged: Genome, proposed: Genome | None) -> None:
    if proposed != logged:
        raise EvomergeError(
            f"candidate {number}: the log says {logged}, this installation proposes {proposed}. The run was made with "
            "other versions of the libraries or on other hardware; environment.json in the run's folder lists them."
        )
