"""Asks a generation, waits for all of it and learns from it in the order asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evomerge.errors import EvomergeError
from evomerge.optimizers.base import Engine, Scored
from evomerge.spaces.genes import Genome


class Generational:
    """An `Optimizer` over an engine, whose run does not depend on the order in which results arrive.

    It is therefore the same for one worker and for seven. The price is a barrier: `ask` returns None from the moment a
    generation is handed out until the last of its candidates has been told. Once the engine has nothing new to
    propose, `ask` returns None for ever; with nothing in flight that means that the space is exhausted.

    Attributes:
        engine: The algorithm.
    """

    def __init__(self, engine: Engine, num_objectives: int = 1) -> None:
        self.engine = engine
        self._num_objectives = num_objectives
        self._generation: Sequence[Genome] = ()
        self._first = 0
        self._asked = 0
        self._scored: dict[int, Scored] = {}
        self._exhausted = False

    def ask(self) -> Genome | None:
        """See `Optimizer.ask`."""
        if self._asked == self._first + len(self._generation) and not self._next_generation():
            return None
        genome = self._generation[self._asked - self._first]
        self._asked += 1
        return genome

    def tell(self, number: int, scored: Scored) -> None:
        """See `Optimizer.tell`.

        Raises:
            EvomergeError: If the number was never asked or is told a second time, if the losses are not one finite
                number per objective, or if a violation is not finite.
        """
        self._check_number(number)
        _check_finite(number, scored)
        if len(scored.losses) != self._num_objectives:
            raise EvomergeError(
                f"candidate {number} was told {len(scored.losses)} losses, but this search has {self._num_objectives} "
                "objectives. Tell one loss per objective, in the order of the objectives."
            )
        self._scored[number] = scored
        if len(self._scored) == len(self._generation):
            self.engine.learn(self._generation, [self._scored[i] for i in sorted(self._scored)])
            self._generation, self._first, self._scored = (), self._asked, {}

    def favourite(self) -> Genome | None:
        """See `Optimizer.favourite`. It moves when a generation is complete."""
        return self.engine.favourite()

    def _next_generation(self) -> bool:
        if self._generation or self._exhausted:
            return False
        self._generation = self.engine.propose()
        self._exhausted = not self._generation
        return not self._exhausted

    def _check_number(self, number: int) -> None:
        if not 0 <= number < self._asked:
            raise EvomergeError(
                f"candidate {number} was told but never asked; {self._asked} candidates were asked so far. "
                "A candidate's number is the count of asks before its own, starting at 0."
            )
        if number < self._first or number in self._scored:
            raise EvomergeError(f"candidate {number} was told a second time. Tell each candidate once.")


def _check_finite(number: int, scored: Scored) -> None:
    for kind, values in (("loss", scored.losses), ("violation", scored.violations)):
        for value in values:
            if not math.isfinite(value):
                raise EvomergeError(
                    f"candidate {number} was told the {kind} {value}, which orders nothing. A {kind} is a finite "
                    "number; give a candidate that failed the worst value seen so far."
                )
