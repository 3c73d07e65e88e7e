"""A space of members bound to its models: the way from a genome to a recipe, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.documents import Tree, shown, tree_of
from evomerge.errors import EvomergeError
from evomerge.recipe.recipe import Blend, ModelRef, PipeRule, Recipe
from evomerge.recipe.stages import Weigh
from evomerge.recipe.where import Where
from evomerge.spaces.genes import Gene, Genome
from evomerge.spaces.lineage.file import BreedFile
from evomerge.spaces.lineage.lineage import Lineage, Stretch
from evomerge.spaces.lineage.shares import shares_of

_EVERYWHERE = Where()

BLEND = "member"
"""The name of the one blend of every recipe."""


@dataclass(frozen=True)
class LineageSpace:
    """All members that can be bred from some models.

    Attributes:
        lineage: How members are bred.
        document: What was written, with its models' digests known.
        seeds: Genomes to start from: the models themselves, behind what an earlier run found.
        where: Name of the file, for messages.
    """

    lineage: Lineage
    document: BreedFile
    seeds: tuple[Genome, ...]
    where: str

    @property
    def genes(self) -> tuple[Gene, ...]:
        """None: what varies is as long as a member's history."""
        return ()

    @property
    def template(self) -> Tree:
        """What must be the same for genomes to mean the same."""
        return tree_of(self.document)

    @property
    def summary(self) -> str:
        """What is searched, in a few words."""
        names, num_cells = ", ".join(self.lineage.names), len(self.lineage.lattice.cells)
        return f"members bred from {names} with {num_cells} cells"

    def decode(self, genome: Genome) -> Recipe:
        """The recipe of a member.

        Raises:
            EvomergeError: If the genome is not one of this space.
        """
        if not self.lineage.contains(genome):
            raise EvomergeError(f"{self.where}: {shown(list(genome))} is no member of this lineage.")
        rules = tuple(self._rule(stretch) for stretch in self.lineage.stretches(genome))
        breed = self.document.breed
        return Recipe(
            models=self.document.models,
            blends={BLEND: Blend(origin=breed.origin, experts=breed.experts, rules=rules)},
            dtype=self.document.dtype,
            tokenizer=self.document.tokenizer,
        )

    def encode(self, recipe: Recipe) -> Genome:
        """The member that is the same merge as a recipe, whose models are known by their content.

        Raises:
            NotInSpace: If there is none.
        """
        some = self.decode(self.lineage.founders[0])
        return self.lineage.genome(shares_of(recipe.canonical, some, self.lineage.lattice))

    def _rule(self, stretch: Stretch) -> PipeRule:
        """A stretch's share of its chromosome; the last stretch takes what is left of it."""
        cells, chromosome = self.lineage.lattice.cells, stretch.chromosome
        where = chromosome.where
        if stretch.stop < chromosome.stop:
            start = 0 if stretch.start == chromosome.start else cells[stretch.start].start
            span = (start, cells[stretch.stop].start)
            where = (where or _EVERYWHERE).model_copy(update={"span": span})
        return PipeRule(where=where, pipe=(Weigh(weigh=stretch.coefficients),))


def bind_breed(document: BreedFile, models: Mapping[str, ModelRef], lineage: Lineage, where: str) -> LineageSpace:
    """Give a breeding document its models.

    Args:
        document: The document.
        models: The same models with their digests known.
        lineage: Over the document's experts.
        where: Name of the file, for messages.
    """
    bound = document.model_copy(update={"models": dict(models)})
    return LineageSpace(lineage, bound, lineage.founders, where)
