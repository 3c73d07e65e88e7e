"""The evolutionary algorithms of pymoo behind `Engine`, over any genes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mixed import MixedVariableMating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.selection import Selection
from pymoo.core.variable import Choice, Integer, Real, Variable
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.mutation.rm import ChoiceRandomMutation
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.termination import get_termination

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.coordinates import coordinate, value_at
from evomerge.optimizers.deb import violation
from evomerge.optimizers.losses import errors_of, losses_of
from evomerge.optimizers.random_search import first_generation
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import FloatGene, Gene, Genome, IntGene

NEVER = 10**9
"""Generations after which pymoo may stop: its own termination criteria would end the run inside `tell`."""


class PymooEngine:
    """A genetic algorithm of `pymoo`: any genes, constraints as one total violation.

    Starts from the seeds and uniform genomes, and never proposes a genome twice.
    """

    def __init__(
        self,
        name: str,
        start: Start,
        population: int,
        make: Callable[..., Any],
        selection: Selection,
        crossover: Mapping[str, float],
    ) -> None:
        """Set the algorithm up.

        Args:
            name: The optimiser's, which seeds it.
            start: Where the search starts.
            population: Candidates per generation.
            make: The algorithm; called with `sampling`, `mating` and `eliminate_duplicates`.
            selection: Chooses the parents.
            crossover: Probability and distribution index `eta` of simulated binary crossover.
        """
        self._genes = {gene.name: gene for gene in start.genes}
        self._seen: set[Genome] = set()
        self._first = first_generation(start, population)
        # Of a space smaller than a population the first generation is all there is, and less than C-TAEA can bear.
        self._is_whole_space = len(self._first) < population
        self._algorithm = make(
            sampling=Population.new(X=[self._native(genome) for genome in self._first]),
            mating=_mating(len(self._genes), _Unseen(self._genome, self._seen), selection, crossover),
            eliminate_duplicates=False,  # in the first generation, that is
        )
        self._algorithm.setup(
            Problem(
                vars={name: _variable(gene) for name, gene in self._genes.items()},
                n_obj=start.num_objectives,
                n_ieq_constr=1,
            ),
            termination=get_termination("n_gen", NEVER),
            seed=seeds.integer(start.seed, "optimizers", name),
        )
        self._population: Any = None

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        if self._is_whole_space and not self._first:
            return ()
        self._population = self._algorithm.ask()
        if self._population is None:
            return ()
        # The first generation is returned as it was given: a value may lose a last bit on its way through the unit box.
        generation = self._first or [self._genome(individual.X) for individual in self._population]
        self._first = []
        self._seen.update(generation)
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        if self._is_whole_space:
            return
        self._population.set("F", losses_of(scored))
        self._population.set("errors", errors_of(scored))
        self._population.set("G", np.array([[violation(one)] for one in scored]))
        self._population.set("H", np.zeros((len(scored), 0)))
        for individual in self._population:
            individual.evaluated.update("FGH")
        self._algorithm.tell(infills=self._population)

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. A population has no single centre."""
        return None

    def _native(self, genome: Genome) -> dict[str, float | int]:
        return {name: coordinate(gene, value) for (name, gene), value in zip(self._genes.items(), genome, strict=True)}

    def _genome(self, native: Mapping[str, Any]) -> Genome:
        return tuple(value_at(gene, native[name]) for name, gene in self._genes.items())


class _Unseen(DuplicateElimination):  # type: ignore[misc]
    """Keeps the individuals whose genome was never proposed; genomes are coarser than pymoo's numbers."""

    def __init__(self, genome_of: Any, seen: set[Genome]) -> None:
        super().__init__()
        self._genome_of = genome_of
        self._seen = seen

    def do(self, pop: Any, *others: Any, **_: Any) -> Any:
        taken = {self._genome_of(individual.X) for other in others for individual in other}
        fresh = []
        for i, individual in enumerate(pop):
            genome = self._genome_of(individual.X)
            if genome not in taken and genome not in self._seen:
                taken.add(genome)
                fresh.append(i)
        return pop[fresh]


def _mating(
    num_genes: int, unseen: _Unseen, selection: Selection, crossover: Mapping[str, float]
) -> MixedVariableMating:
    # The rate is stated because pymoo would count the genes of each kind alone, and every choice as a space of its
    # own: it would redraw each choice of every second child.
    rate = min(0.5, 1 / num_genes)
    return MixedVariableMating(
        selection=selection,
        crossover={
            Real: SBX(**crossover),
            Integer: SBX(vtype=float, repair=RoundingRepair(), **crossover),
            Choice: UX(),
        },
        mutation={
            Real: PM(prob_var=rate),
            Integer: PM(prob_var=rate, vtype=float, repair=RoundingRepair()),
            Choice: ChoiceRandomMutation(prob_var=rate),
        },
        eliminate_duplicates=unseen,
    )


def _variable(gene: Gene) -> Variable:
    match gene:
        case FloatGene():
            return Real(bounds=(0.0, 1.0))
        case IntGene():
            return Integer(bounds=(gene.low, gene.high))
        case _:
            return Choice(options=range(len(gene.options)))
