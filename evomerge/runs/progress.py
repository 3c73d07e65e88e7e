"""Progress: how far a search has come, built up event by event by the search itself and by whoever reads its log."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.fitness.sheet import Sheet
from evomerge.runs.budget import Spent
from evomerge.runs.events import Asked, Evaluated, Event, Failed, Told
from evomerge.spaces.genes import Genome


@dataclass(slots=True)
class Progress:
    """What every candidate was and is.

    Attributes:
        genomes: Of every candidate asked, by number.
        digests: Of every candidate's recipe, by number.
        generations: In which each was asked, by number.
        sources: By number, the first candidate with the same recipe, whose answers count for both; its own number if
            there is none.
        sheets: Answers of the candidates that were scored themselves, by number.
        failures: Why candidates failed, by number.
        losses: Of every candidate told, by number.
        violations: Of every candidate told, by number.
        spent: What scoring has cost.
    """

    genomes: list[Genome] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    sheets: dict[int, Sheet] = field(default_factory=dict)
    failures: dict[int, Failed] = field(default_factory=dict)
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)
    violations: dict[int, tuple[float, ...]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    _first: dict[str, int] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case Asked(number, genome, digest, generation):
                self.genomes.append(genome)
                self.digests.append(digest)
                self.generations.append(generation)
                self.sources.append(self._first.setdefault(digest, number))
            case Evaluated(number=number, twin=None):
                sheet = self.sheets.setdefault(number, Sheet())
                sheet.add(event.items, event.responses)
                sheet.costs = event.costs
                self.spent += Spent.on(event)
            case Failed(number=number):
                self.failures[number] = event
                self.spent += Spent.on(event)
                if self._first.get(self.digests[number]) == number:  # whoever proposes it again may try again
                    del self._first[self.digests[number]]
            case Told(number=number):
                self.losses[number], self.violations[number] = event.losses, event.violations

    def sheet(self, number: int) -> Sheet:
        """A candidate's answers, none at first."""
        return self.sheets.get(number, Sheet())

    def sheets_before(self, generation: int) -> dict[int, Sheet]:
        """Answers of the candidates of earlier generations, by number."""
        return {n: sheet for n, sheet in sorted(self.sheets.items()) if self.generations[n] < generation}

    @property
    def untold(self) -> list[int]:
        """Candidates asked but not told."""
        return [number for number in range(len(self.genomes)) if number not in self.losses]

    @property
    def scored(self) -> list[int]:
        """Candidates told that did not fail, one per recipe."""
        return [number for number in sorted(self.losses) if number in self.sheets and number not in self.failures]
