"""Replay: bring a fresh optimiser to the state it had, from the log alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evomerge.errors import EvomergeError
from evomerge.execution import Responses
from evomerge.optimizers.base import ItemScores, Optimizer, Scored
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


def replay(log: RunLog, optimizer: Optimizer, item_scores: Callable[[Responses], ItemScores]) -> Progress:
    """Repeat every logged ask and tell on a fresh optimiser.

    Args:
        log: The run's.
        optimizer: Built as it was when the run began, and not used since.
        item_scores: Makes the scores of single items from responses.

    Raises:
        EvomergeError: If the optimiser proposes something else than it did then.
    """
    progress, scores = Progress(), dict[int, ItemScores]()
    for event in log.events():
        match event:
            case Asked(number, genome, digest):
                _check_same(number, genome, optimizer.ask())
                progress.genomes.append(genome)
                progress.digests.append(digest)
            case Evaluated(number=number, responses=responses, twin=twin):
                scores[number] = item_scores(responses)
                if twin is None:
                    progress.known[progress.digests[number]] = (number, responses)
            case Told(number, losses):
                scored = Scored(losses, items_I=scores.pop(number)) if number in scores else Scored(losses)
                optimizer.tell(number, scored)
                progress.losses[number] = losses
    return progress


def _check_same(number: int, logged: Genome, proposed: Genome | None) -> None:
    if proposed != logged:
        raise EvomergeError(
            f"candidate {number}: the log says {logged}, this installation proposes {proposed}. The run was made with "
            "other versions of the libraries or on other hardware; environment.json in the run's folder lists them."
        )
