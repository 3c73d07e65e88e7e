"""The laws of `Optimizer`, for the tests of anyone who writes one."""

from __future__ import annotations

import dataclasses
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from evomerge.errors import EvomergeError
from evomerge.optimizers.base import Optimizer, Scored
from evomerge.optimizers.random_search import drawn
from evomerge.spaces.genes import ChoiceGene, FloatGene, Gene, Genome, IntGene, Scalar

Judge = Callable[[Genome], Scored]
Step = tuple[int, Genome | Scored]
"""A candidate's number with its genome when it was asked, or with its score when it was told."""

REAL_GENES: tuple[Gene, ...] = (
    FloatGene("a", 0.0, 1.0),
    FloatGene("b", -1.0, 2.0),
    FloatGene("c", 0.001, 10.0, scale="log"),
    FloatGene("d", 5.0, 5.5),
    FloatGene("e", -3.0, -1.0),
)
MIXED_GENES: tuple[Gene, ...] = (
    FloatGene("weight", 0.0, 1.5),
    ChoiceGene("vote", ("none", "sign", "rank")),
    IntGene("layer", 3, 11),
    ChoiceGene("rescale", (False, True)),
    FloatGene("scale", 0.01, 10.0, scale="log"),
    IntGene("repeats", -1, 1),
)


@dataclass
class Loop:
    """A search loop whose workers finish in a random order.

    Attributes:
        optimizer: What is driven.
        judge: Gives every genome its score.
        arrivals: Seed of the order in which results arrive.
        genomes: What was asked, by number.
        steps: What was asked and told, in order.
    """

    optimizer: Optimizer
    judge: Judge
    arrivals: int = 0
    genomes: list[Genome] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    _pending: set[int] = field(default_factory=set)

    def run(self, budget: int, workers: int) -> list[Genome]:
        """Search until `budget` candidates were asked and told, or nothing is left; the genomes by number."""
        rng = np.random.default_rng(self.arrivals)
        while True:
            while len(self._pending) < workers and len(self.genomes) < budget and self._ask():
                pass
            if not self._pending:
                return self.genomes
            self._tell(sorted(self._pending)[int(rng.integers(len(self._pending)))])

    def replay(self, steps: Sequence[Step]) -> None:
        """Take the same steps as another loop did, checking that the proposals agree."""
        for number, what in steps:
            if isinstance(what, Scored):
                self._tell(number)
            else:
                assert self._ask(), f"candidate {number}: nothing was proposed in the replay"
                assert self.genomes[number] == what, f"candidate {number}: the replay proposes another genome"

    def _ask(self) -> bool:
        genome = self.optimizer.ask()
        if genome is None:
            return False
        self._pending.add(len(self.genomes))
        self.steps.append((len(self.genomes), genome))
        self.genomes.append(genome)
        return True

    def _tell(self, number: int) -> None:
        self._pending.remove(number)
        scored = self.judge(self.genomes[number])
        self.optimizer.tell(number, scored)
        self.steps.append((number, scored))


class OptimizerContract(ABC):
    """Inherit this in a test class, say how to make the optimiser, and pytest checks the laws.

    Example:
        ```python
        class TestMine(OptimizerContract):
            def make(self, genes, num_objectives, seed, seeds=(), budget=200):
                return Mine(genes, seed)
        ```

    Attributes:
        genes: What the optimiser is tried on; `REAL_GENES` unless a subclass says otherwise.
        num_objectives: Losses per candidate.
        budget: Candidates per run; three times as many to beat random search.
        learns: Whether it must beat random search.
        breaks_constraints: Whether it tries on purpose what breaks a constraint.
    """

    genes: Sequence[Gene] = REAL_GENES
    num_objectives: int = 1
    budget: int = 50
    learns: bool = True
    breaks_constraints: bool = False

    @abstractmethod
    def make(
        self, genes: Sequence[Gene], num_objectives: int, seed: int, seeds: Sequence[Genome] = (), budget: int = 200
    ) -> Optimizer:
        """A fresh optimiser."""

    def test_proposals_are_plain_values_of_the_genes(self) -> None:
        for genome in self._loop().run(self.budget, workers=1):
            self.check(genome)

    def test_the_same_seed_gives_the_same_run(self) -> None:
        assert self._loop().run(self.budget, workers=1) == self._loop().run(self.budget, workers=1)

    def test_different_seeds_give_different_runs(self) -> None:
        assert self._loop(seed=1).run(self.budget, workers=1) != self._loop(seed=2).run(self.budget, workers=1)

    def test_results_may_arrive_in_any_order(self) -> None:
        runs = [self._loop(arrivals=order).run(self.budget, workers=5) for order in range(3)]
        assert runs[0] == runs[1] == runs[2]

    def test_one_worker_and_seven_give_the_same_run(self) -> None:
        assert self._loop().run(self.budget, workers=1) == self._loop().run(self.budget, workers=7)

    def test_a_replayed_run_continues_as_the_first_one_did(self) -> None:
        first = self._loop()
        genomes = first.run(self.budget, workers=4)
        for cut in (len(first.steps) // 3, 2 * len(first.steps) // 3):
            resumed = self._loop(arrivals=cut)
            resumed.replay(first.steps[:cut])
            assert resumed.run(self.budget, workers=4) == genomes

    def test_none_means_that_something_is_pending_or_nothing_is_left(self) -> None:
        optimizer = self._make()
        pending: list[tuple[int, Genome]] = []
        for asked in range(self.budget):
            while (genome := optimizer.ask()) is None:
                assert pending, "nothing was proposed although nothing is pending, before the space is exhausted"
                number, earlier = pending.pop()
                optimizer.tell(number, self.judge(earlier))
            pending.append((asked, genome))

    def test_global_random_state_is_left_alone(self) -> None:
        before = _global_random_state()
        self._loop().run(self.budget, workers=1)
        assert _global_random_state() == before

    def test_ties_do_no_harm(self) -> None:
        tied = Scored((0.25,) * self.num_objectives)
        for genome in self._loop(judge=lambda _: tied).run(self.budget, workers=1):
            self.check(genome)

    def test_huge_losses_do_no_harm(self) -> None:
        def judge(genome: Genome) -> Scored:
            size = 1e308 if self.positions(genome)[0] > 0.5 else -1e308
            return Scored((size,) * self.num_objectives)

        for genome in self._loop(judge=judge).run(self.budget, workers=1):
            self.check(genome)

    def test_violations_are_accepted(self) -> None:
        def judge(genome: Genome) -> Scored:
            return Scored(self.judge(genome).losses, (self.positions(genome)[0] - 0.5, -1.0))

        for genome in self._loop(judge=judge).run(self.budget, workers=1):
            self.check(genome)

    def test_what_keeps_the_constraints_is_sought(self) -> None:
        import pytest

        if not self.learns or self.breaks_constraints:
            pytest.skip("this optimiser does not learn, or tries what breaks constraints on purpose")

        def excess(genome: Genome) -> float:
            return float(np.mean(self.positions(genome))) - 0.4

        def judge(genome: Genome) -> Scored:  # the losses draw to where the constraint is broken
            scored = self.judge(genome)
            losses = tuple(-loss for loss in scored.losses)
            return dataclasses.replace(scored, losses=losses, violations=(excess(genome), -1.0))

        kept, chance = [], []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            late = self._loop(seed, judge=judge).run(3 * self.budget, workers=1)[self.budget :]
            kept.append(sum(excess(genome) <= 0 for genome in late) / len(late))
            drawn = [self.draw(rng) for _ in range(1000)]
            chance.append(sum(excess(genome) <= 0 for genome in drawn) / len(drawn))
        assert sum(kept) > sum(chance)

    def test_standard_errors_are_accepted(self) -> None:
        def judge(genome: Genome) -> Scored:
            scored = self.judge(genome)
            return dataclasses.replace(scored, errors=tuple(0.1 * loss for loss in scored.losses))

        for genome in self._loop(judge=judge).run(self.budget, workers=1):
            self.check(genome)

    def test_it_starts_from_seeds(self) -> None:
        seeds = [self.end(last=last) for last in (False, True)]
        runs = []
        for _ in range(2):
            optimizer = self.make(self.genes, self.num_objectives, seed=0, seeds=seeds, budget=self.budget)
            runs.append(Loop(optimizer, self.judge).run(self.budget, workers=1))
        for genome in runs[0]:
            self.check(genome)
        assert runs[0] == runs[1]
        assert runs[0] != self._loop().run(self.budget, workers=1), "the seeds changed nothing"

    def test_the_favourite_lies_in_the_space_if_there_is_one(self) -> None:
        loop = self._loop()
        for budget in (0, self.budget // 2, self.budget):
            loop.run(budget, workers=1)
            favourite = loop.optimizer.favourite()
            if favourite is not None:
                self.check(favourite)

    def test_it_beats_random_search(self) -> None:
        import pytest

        if not self.learns:
            pytest.skip("this optimiser does not learn")
        budget = 3 * self.budget
        found, chance = [], []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            found.append(self._best(self._loop(seed).run(budget, workers=1)))
            chance.append(self._best([self.draw(rng) for _ in range(budget)]))
        assert sum(found) < sum(chance)

    def test_misuse_is_refused(self) -> None:
        import pytest

        optimizer = self._make()
        genome = optimizer.ask()
        assert genome is not None
        good = self.judge(genome)
        with pytest.raises(EvomergeError, match="never asked"):
            optimizer.tell(1, good)
        with pytest.raises(EvomergeError, match="never asked"):
            optimizer.tell(-1, good)
        for losses in (good.losses * 2, (), (math.nan,) * len(good.losses), (math.inf,) * len(good.losses)):
            with pytest.raises(EvomergeError, match="candidate 0"):
                optimizer.tell(0, Scored(losses))
        with pytest.raises(EvomergeError, match="candidate 0"):
            optimizer.tell(0, Scored(good.losses, (math.nan,)))
        optimizer.tell(0, good)
        with pytest.raises(EvomergeError, match="second time"):
            optimizer.tell(0, good)

    def check(self, genome: Genome) -> None:
        """Assert that a genome is one of the space."""
        _check_genome(self.genes, genome)

    def positions(self, genome: Genome) -> list[float]:
        """Where a genome lies in the space, as numbers from 0 to 1."""
        return [_position(gene, value) for gene, value in zip(self.genes, genome, strict=True)]

    def draw(self, rng: np.random.Generator) -> Genome:
        """A random genome."""
        return tuple(drawn(gene, rng) for gene in self.genes)

    def end(self, *, last: bool) -> Genome:
        """The genome at the first or the last end of everything."""
        return tuple(_end(gene, last) for gene in self.genes)

    def judge(self, genome: Genome) -> Scored:
        """One sphere per objective over the genes' positions, with centres spread over the space."""
        positions = np.array(self.positions(genome))
        centres = [(k + 1) / (self.num_objectives + 2) for k in range(self.num_objectives)]
        return Scored(tuple(float(np.mean((positions - centre) ** 2)) for centre in centres))

    def _make(self, seed: int = 0) -> Optimizer:
        return self.make(self.genes, self.num_objectives, seed=seed, budget=self.budget)

    def _loop(self, seed: int = 0, arrivals: int = 0, judge: Judge | None = None) -> Loop:
        return Loop(self._make(seed), judge or self.judge, arrivals)

    def _best(self, genomes: Sequence[Genome]) -> float:
        return min(sum(self.judge(genome).losses) for genome in genomes)


def _check_genome(genes: Sequence[Gene], genome: Genome) -> None:
    assert isinstance(genome, tuple)
    assert len(genome) == len(genes)
    for gene, value in zip(genes, genome, strict=True):
        assert type(value) in (float, int, str, bool), f"{gene.name}: {type(value)} is not a plain Python value"
        assert gene.contains(value), f"{gene.name}: {value!r} lies outside the gene"
        assert isinstance(value, float) or not isinstance(gene, FloatGene), f"{gene.name}: {value!r} is not a float"


def _position(gene: Gene, value: Scalar) -> float:
    match gene:
        case FloatGene():
            return gene.to_unit(float(value))
        case IntGene():
            return (int(value) - gene.low) / (gene.high - gene.low)
        case ChoiceGene():
            return gene.options.index(value) / (len(gene.options) - 1)


def _end(gene: Gene, last: bool) -> Scalar:
    if isinstance(gene, ChoiceGene):
        return gene.options[-1 if last else 0]
    return gene.high if last else gene.low


def _global_random_state() -> Hashable:
    import torch

    name, keys, *rest = np.random.get_state()
    return (random.getstate(), name, np.asarray(keys).tobytes(), *rest, torch.get_rng_state().numpy().tobytes())
