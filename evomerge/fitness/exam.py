"""An exam: what the candidates of one generation are asked, and what their answers say of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evomerge.fitness.answers import Answers
from evomerge.fitness.estimators import Estimate, Estimator, Scores
from evomerge.fitness.estimators.base import mean_in_order
from evomerge.fitness.measures import agreement
from evomerge.fitness.objectives import costs_as_estimates
from evomerge.fitness.selectors import Selector
from evomerge.fitness.sheet import Sheet

EVERYTHING = 1 << 30
"""Items of a rung that asks all there are."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Some items of a task are asked: which ones, and what they say of the others."""

    selector: Selector
    estimator: Estimator


@dataclass(frozen=True, slots=True)
class Subject:
    """One task of an exam.

    Attributes:
        label: The task's.
        positions_N: Documents of its search split, ascending.
        is_lower_better: Whether a lower score is better; a selector and an estimator then see 1 - score.
        sampled: None where every item is asked.
        rival_N: What a model answered to these documents, where a candidate's score is whether it answers the same.
    """

    label: str
    positions_N: npt.NDArray[np.int64]
    is_lower_better: bool
    sampled: Sampled | None
    rival_N: Scores | None = None

    def next(self, sheet: Sheet, num_items: int) -> tuple[int, ...]:
        """Documents to ask next, ascending, so that so many will have been asked; none where they have been."""
        if self.sampled is None:
            return () if self._count(sheet) else tuple(self.positions_N.tolist())
        answers, selector = self._answers(sheet, EVERYTHING), self.sampled.selector
        missing = min(num_items, len(self.positions_N)) - len(answers)
        if missing <= 0:
            return ()
        return tuple(sorted(self.positions_N[selector.next(answers, min(selector.block, missing))].tolist()))

    def estimate(self, sheet: Sheet, num_items: int) -> Estimate:
        """The score on the whole split, as the first so many answers tell it."""
        answers = self._answers(sheet, num_items)
        if self.sampled is None or len(answers) == len(self.positions_N):
            estimate = Estimate(mean_in_order(answers.scores_I), 0.0, len(answers))
        else:
            estimate = self.sampled.estimator.estimate(answers)
        return Estimate(1 - estimate.value, estimate.stderr, len(answers)) if self._is_turned else estimate

    def expected(self, sheet: Sheet) -> Scores:
        """The score of every item, higher is better: observed, or expected where it was not asked; float32."""
        answers = self._answers(sheet, EVERYTHING)
        if self.sampled is None:
            return (1 - answers.scores_I if self.is_lower_better else answers.scores_I).astype(np.float32)
        return self.sampled.estimator.expected(answers).astype(np.float32)

    @property
    def _is_turned(self) -> bool:
        return self.is_lower_better and self.sampled is not None

    def _count(self, sheet: Sheet) -> int:
        return len(sheet.items.get(self.label, ()))

    def _answers(self, sheet: Sheet, num_items: int) -> Answers:
        number = None if self.sampled is None else num_items
        items_I = np.searchsorted(self.positions_N, sheet.items.get(self.label, [])[:number])
        scores_I = np.array(sheet.scores.get(self.label, [])[:number], np.float64)
        if self.rival_N is not None:
            scores_I = agreement(scores_I.astype(np.float32), self.rival_N[items_I]).astype(np.float64)
        return Answers.none().also(items_I, 1 - scores_I if self._is_turned else scores_I)


@dataclass(frozen=True, slots=True)
class Exam:
    """What one generation is asked.

    Attributes:
        subjects: One per task that every candidate is scored on.
    """

    subjects: Sequence[Subject]

    def next(self, sheet: Sheet, num_items: int) -> dict[str, tuple[int, ...]]:
        """Documents to ask next by label, so that so many of each task will have been asked; empty when they have."""
        chosen = {subject.label: subject.next(sheet, num_items) for subject in self.subjects}
        return {label: documents for label, documents in chosen.items() if documents}

    def estimates(self, sheet: Sheet, num_items: int = EVERYTHING) -> dict[str, Estimate]:
        """Each task's score on the whole search split, by label, as the first so many answers tell it; and costs."""
        scores = {subject.label: subject.estimate(sheet, num_items) for subject in self.subjects}
        return scores | costs_as_estimates(sheet.costs)

    def expected(self, sheet: Sheet) -> Scores:
        """The score of every search item of every task, observed or expected; float32, higher is better."""
        return np.concatenate([subject.expected(sheet) for subject in self.subjects])
