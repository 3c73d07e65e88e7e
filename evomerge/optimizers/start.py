"""What every engine is given besides its own settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evomerge.spaces.genes import FloatGene, Gene, Genome, IntGene, Scalar
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

    @property
    def origin(self) -> Genome:
        """The first seed; without seeds, every gene at its neutral value or nearest 0."""
        return self.seeds[0] if self.seeds else self.absent

    @property
    def absent(self) -> Genome:
        """Every gene at its neutral value or nearest 0."""
        return tuple(map(_absent, self.genes))


def _absent(gene: Gene) -> Scalar:
    """The value that leaves a gene's part out of the recipe, as far as the gene says."""
    if gene.neutral is not None:
        return gene.neutral
    if isinstance(gene, FloatGene | IntGene):
        return min(max(0, gene.low), gene.high) if isinstance(gene, IntGene) else min(max(0.0, gene.low), gene.high)
    return gene.options[0]
