from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evomerge.errors import EvomergeError
from evomerge.optimizers.base import Scored
from evomerge.optimizers.generational import Generational
from evomerge.spaces.genes import Genome
from evomerge.testing.optimizers import Loop


class Climber:
    """Proposes the numbers around the best one that it has seen; stops after `generations`."""

    def __init__(self, generations: int, size: int = 3) -> None:
        self.left = generations
        self.size = size
        self.learned: list[list[tuple[Genome, Scored]]] = []
        self.best = 0

    def propose(self) -> Sequence[Genome]:
        self.left -= 1
        return [(self.best + i,) for i in range(self.size)] if self.left >= 0 else []

    def learn(self, genomes: Sequence[Genome], scored: Sequence[Scored]) -> None:
        self.learned.append(list(zip(genomes, scored, strict=True)))
        self.best = int(min(zip(scored, genomes, strict=True), key=lambda pair: pair[0].losses)[1][0])

    def favourite(self) -> Genome | None:
        return (self.best,)


def judge(genome: Genome) -> Scored:
    return Scored((abs(float(genome[0]) - 7),))


def test_a_generation_is_learned_in_the_order_asked() -> None:
    engine = Climber(generations=1)
    optimizer = Generational(engine)
    assert [optimizer.ask() for _ in range(3)] == [(0,), (1,), (2,)]
    for number in (2, 0, 1):
        optimizer.tell(number, judge((number,)))
    assert engine.learned == [[((n,), judge((n,))) for n in range(3)]]


def test_asking_waits_for_the_whole_generation() -> None:
    optimizer = Generational(Climber(generations=2))
    for _ in range(3):
        optimizer.ask()
    optimizer.tell(0, judge((0,)))
    optimizer.tell(2, judge((2,)))
    assert optimizer.ask() is None
    assert optimizer.favourite() == (0,)
    optimizer.tell(1, judge((1,)))
    assert optimizer.favourite() == (2,)
    assert optimizer.ask() == (2,)


def test_an_early_result_does_not_end_a_generation_that_is_still_being_asked() -> None:
    engine = Climber(generations=1)
    optimizer = Generational(engine)
    for number in range(3):
        assert optimizer.ask() == (number,)
        assert engine.learned == []
        optimizer.tell(number, judge((number,)))
    assert len(engine.learned) == 1


def test_an_exhausted_space_stays_exhausted() -> None:
    engine = Climber(generations=1)
    optimizer = Generational(engine)
    Loop(optimizer, judge).run(budget=10, workers=1)
    assert [optimizer.ask() for _ in range(3)] == [None] * 3
    assert engine.left == -1, "an engine that had nothing to propose is not asked again"


@settings(deadline=None)
@given(workers=st.integers(1, 9), arrivals=st.integers(0, 10**6), size=st.integers(1, 6))
def test_workers_and_arrivals_do_not_change_the_run(workers: int, arrivals: int, size: int) -> None:
    alone = Loop(Generational(Climber(generations=5, size=size)), judge).run(budget=100, workers=1)
    together = Loop(Generational(Climber(generations=5, size=size)), judge, arrivals).run(budget=100, workers=workers)
    assert together == alone
    assert len(alone) == 5 * size


def test_a_candidate_of_an_earlier_generation_is_not_told_again() -> None:
    optimizer = Generational(Climber(generations=2))
    Loop(optimizer, judge).run(budget=4, workers=1)
    with pytest.raises(EvomergeError, match="candidate 1 was told a second time"):
        optimizer.tell(1, judge((1,)))


def test_messages_say_what_to_do() -> None:
    optimizer = Generational(Climber(generations=1), num_objectives=2)
    optimizer.ask()
    with pytest.raises(EvomergeError, match=r"told 1 losses, but this search has 2 objectives\. Tell one loss per"):
        optimizer.tell(0, Scored((0.5,)))
    with pytest.raises(EvomergeError, match=r"loss nan.*give a candidate that failed the worst value seen so far"):
        optimizer.tell(0, Scored((0.5, float("nan"))))
    with pytest.raises(EvomergeError, match="violation inf"):
        optimizer.tell(0, Scored((0.5, 0.5), (float("inf"),)))
    with pytest.raises(EvomergeError, match=r"candidate 3 was told but never asked; 1 candidates"):
        optimizer.tell(3, Scored((0.5, 0.5)))
    optimizer.tell(0, Scored((0.5, 0.5)))
