"""What every engine is given besides its own settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evomerge.spaces.genes import Gene, Genome
from evomerge.spaces.lineage import Lineage


@dataclass(frozen=True, slots=True)
class Start:
    """Where a search starts.

    Attributes:
        genes: What varies; genomes have one value per gene in this order.
        num_objectives: Losses per candidate.
        seed: The only source of randomness.
        seeds: Individuals to start from, all different; may be empty.
        budget: Number of candidates that will be asked for.
        lineage: What members are bred in, where nothing has genes; None where something has.
    """

    genes: Sequence[Gene]
    num_objectives: int
    seed: int
    seeds: Sequence[Genome]
    budget: int
    lineage: Lineage | None = None
