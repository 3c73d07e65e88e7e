"""The verdict: whether the chosen merge beats what it was made of, on items that no decision rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evomerge.fitness import Estimate, subset_mean
from evomerge.report.yardstick import Yardstick, directions_of_tasks, of_tasks
from evomerge.runs.results import Contender, Results, mean

Outcome: TypeAlias = Literal["better", "worse", "not distinguishable"]

CLEAR = 2.0
"""A difference counts when it is more than so many of its standard errors."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The chosen merge against one reference.

    Attributes:
        reference: The other.
        score: The reference's own mean of tasks.
        gain: By how much the chosen merge is better.
    """

    reference: Contender
    score: Estimate
    gain: Estimate

    @property
    def outcome(self) -> Outcome:
        """What may be said of the difference."""
        if abs(self.gain.value) <= CLEAR * self.gain.stderr or self.gain.value == 0:
            return "not distinguishable"
        return "better" if self.gain.value > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the test split says about the chosen merge.

    Attributes:
        best: The finalist chosen on the selection split.
        yardstick: What is compared.
        score: Of the chosen merge.
        differences: Against every reference with test scores, the strongest reference first.
        broken: Constraints that the chosen merge breaks on the test split, in words, and how far; None where the
            fitness has no constraints.
    """

    best: Contender
    yardstick: Yardstick
    score: Estimate
    differences: tuple[Difference, ...]
    broken: Mapping[str, float] | None = None

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        if not self.differences:
            return f"{self.best.name} is the chosen merge; there is no reference to compare it with yet"
        if worse := self._names("worse"):
            return f"The chosen merge does not beat {worse}"
        if tied := self._names("not distinguishable"):
            return f"The chosen merge is not distinguishable from {tied}"
        return f"The chosen merge beats {self._all()}"

    @property
    def sentence(self) -> str:
        """The answer with its numbers."""
        items = f"{self.score.num_items} test items that no decision rests on"
        start = f"The chosen merge, {self.best.name}, scores {shown(self.score)} ({self.yardstick.name}, {items})"
        if not self.differences:
            return f"{start}.{self._constraints()}"
        strongest = self.differences[0]
        gain = f"{abs(strongest.gain.value):.3f} ± {strongest.gain.stderr:.3f}"
        side = "better" if strongest.gain.value >= 0 else "worse"
        rival = f"{strongest.reference.name} ({shown(strongest.score)})"
        return f"{start}: {gain} {side} than the strongest reference, {rival}{self._doubts()}.{self._constraints()}"

    def _constraints(self) -> str:
        if self.broken is None:
            return ""
        broken = [f"{text} (by {excess:.3f})" for text, excess in self.broken.items()]
        return f" There it breaks {listed(broken)}." if broken else " There it holds all constraints."

    def _doubts(self) -> str:
        tied, worse = self._names("not distinguishable"), self._names("worse")
        parts = [f"; within two standard errors it is not distinguishable from {tied}"] if tied else []
        return "".join([*parts, f"; it is worse than {worse}" if worse else ""])

    def _names(self, outcome: Outcome) -> str:
        return listed([difference.reference.name for difference in self.differences if difference.outcome == outcome])

    def _all(self) -> str:
        names = [difference.reference.name for difference in self.differences]
        return "every model alone and the uniform merge" if "uniform" in names else "every model alone"


def verdict(results: Results) -> Verdict | None:
    """The verdict, or None while the chosen merge has no test scores."""
    best = chosen(results)
    if best is None or not best.complete("test"):
        return None
    yardstick = of_tasks(results.fitness)
    rivals = [reference for reference in results.references if reference.complete("test")]
    differences = [
        Difference(rival, yardstick.mean(rival.estimates["test"]), gain(results, best, rival)) for rival in rivals
    ]
    differences.sort(key=lambda difference: difference.gain.value)
    score, broken = yardstick.mean(best.estimates["test"]), _broken(results, best)
    return Verdict(best, yardstick, score, tuple(differences), broken)


def _broken(results: Results, best: Contender) -> dict[str, float] | None:
    constraints = results.fitness.spec.constraints
    violations = results.worth(best, "test").violations
    excesses = {constraint.text: excess for constraint, excess in zip(constraints, violations, strict=True)}
    return {text: excess for text, excess in excesses.items() if excess > 0} if constraints else None


def chosen(results: Results) -> Contender | None:
    """The finalist that is best on the selection split, if any has been scored there."""
    return results.best() if any(finalist.complete("selection") for finalist in results.finalists) else None


def gain(results: Results, one: Contender, other: Contender) -> Estimate:
    """By how much one contender is better than another on the test split, on the mean of all tasks.

    The standard error is that of paired differences, item by item: both were asked the same, so what makes an item hard
    for both cancels. Tasks are taken to err independently.
    """
    directions = directions_of_tasks(results.fitness)
    return mean([_gain_on(label, one, other, 1 if up else -1) for label, up in directions.items()])


def _gain_on(label: str, one: Contender, other: Contender, sign: int) -> Estimate:
    return subset_mean(sign * (one.responses["test"][label] - other.responses["test"][label]))


def shown(estimate: Estimate) -> str:
    """A score with its standard error."""
    return f"{estimate.value:.3f} ± {estimate.stderr:.3f}"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
