"""NSGA-II, for fronts of several objectives over any genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mixed import MixedVariableMating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.variable import Choice, Integer, Real, Variable
from pymoo.operators.mutation.pm import PM
from pymoo.operators.mutation.rm import ChoiceRandomMutation
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.termination import get_termination

from evomerge import seeds
from evomerge.optimizers.base import Scored
from evomerge.optimizers.box import option_index
from evomerge.optimizers.configs import Nsga2Config, RandomConfig
from evomerge.optimizers.deb import violation
from evomerge.optimizers.random_search import RandomSearch
from evomerge.optimizers.start import Start
from evomerge.spaces.genes import FloatGene, Gene, Genome, IntGene, Scalar

NEVER = 10**9
"""Generations after which pymoo may stop: its own termination criteria would end the run inside `tell`."""


class Nsga2:
    """`pymoo`'s NSGA-II: any genes, any number of objectives, constraints by Deb's rule (Deb et al. 2002).

    Starts from the seeds and uniform genomes, and never proposes a genome twice.
    """

    def __init__(self, config: Nsga2Config, start: Start) -> None:
        self._genes = {gene.name: gene for gene in start.genes}
        self._seen: set[Genome] = set()
        self._first = RandomSearch(RandomConfig(population=config.population), start).propose()
        self._algorithm = NSGA2(
            pop_size=config.population,
            sampling=Population.new(X=[self._native(genome) for genome in self._first]),
            mating=_mating(len(self._genes), _Unseen(self._genome, self._seen)),
            eliminate_duplicates=False,  # in the first generation, that is
        )
        self._algorithm.setup(
            Problem(
                vars={name: _variable(gene) for name, gene in self._genes.items()},
                n_obj=start.num_objectives,
                n_ieq_constr=1,
            ),
            termination=get_termination("n_gen", NEVER),
            seed=seeds.integer(start.seed, "optimizers", "nsga2"),
        )
        self._population: Any = None

    def propose(self) -> Sequence[Genome]:
        """See `Engine.propose`."""
        self._population = self._algorithm.ask()
        if self._population is None:
            return ()
        # The first generation is returned as it was given: a value may lose a last bit on its way through the unit box.
        generation = self._first or [self._genome(individual.X) for individual in self._population]
        self._first = ()
        self._seen.update(generation)
        return generation

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        """See `Engine.learn`."""
        self._population.set("F", np.array([one.losses for one in scored], dtype=np.float64))
        self._population.set("G", np.array([[violation(one)] for one in scored]))
        self._population.set("H", np.zeros((len(scored), 0)))
        for individual in self._population:
            individual.evaluated.update("FGH")
        self._algorithm.tell(infills=self._population)

    def favourite(self) -> Genome | None:
        """See `Engine.favourite`. A population has no single centre."""
        return None

    def _native(self, genome: Genome) -> dict[str, float | int]:
        return {name: _coordinate(gene, value) for (name, gene), value in zip(self._genes.items(), genome, strict=True)}

    def _genome(self, native: Mapping[str, Any]) -> Genome:
        return tuple(_value(gene, native[name]) for name, gene in self._genes.items())


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


def _mating(num_genes: int, unseen: _Unseen) -> MixedVariableMating:
    # The rate is stated because pymoo would count the genes of each kind alone, and every choice as a space of its
    # own: it would redraw each choice of every second child.
    rate = min(0.5, 1 / num_genes)
    return MixedVariableMating(
        selection=TournamentSelection(func_comp=binary_tournament),
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


def _coordinate(gene: Gene, value: Scalar) -> float | int:
    match gene:
        case FloatGene():
            return gene.to_unit(float(value))
        case IntGene():
            return int(value)
        case _:
            return option_index(gene, value)


def _value(gene: Gene, native: Any) -> Scalar:
    match gene:
        case FloatGene():
            return gene.from_unit(float(native))
        case IntGene():
            return int(native)
        case _:
            return gene.options[int(native)]
