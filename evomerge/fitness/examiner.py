"""The examiner: sets an exam for every generation, and says what a candidate's answers are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evomerge import seeds
from evomerge.errors import EvomergeError
from evomerge.fitness.answers import Pool
from evomerge.fitness.estimation import chosen_selector
from evomerge.fitness.estimators import Estimate
from evomerge.fitness.estimators.base import mean_in_order
from evomerge.fitness.estimators.configs import EstimatorConfig, MeanConfig, ParentConfig
from evomerge.fitness.estimators.registry import ESTIMATORS, make_estimator
from evomerge.fitness.exam import EVERYTHING, Exam, Sampled, Subject
from evomerge.fitness.fitness import FEW, NO_RESPONSES, Fitness, Worth
from evomerge.fitness.irt import Bank, recalibrate
from evomerge.fitness.objectives import ModelEstimates, costs_as_estimates
from evomerge.fitness.racing import Halving, NoRacing, RacingValue
from evomerge.fitness.rivals import Responses, answers_of_rival, known_rivals, scored_against
from evomerge.fitness.selectors.configs import SelectorConfig
from evomerge.fitness.selectors.registry import Draw, make_selector, needs
from evomerge.fitness.sheet import Sheet
from evomerge.fitness.spec import DEFAULT_ITEMS


class History(Protocol):
    """What was answered in a run so far."""

    def sheets_before(self, generation: int) -> Mapping[int, Sheet]:
        """Answers of the candidates of earlier generations, by number."""


class _Nobody:
    def sheets_before(self, generation: int) -> Mapping[int, Sheet]:
        return {}


NOBODY: History = _Nobody()

NO_COSTS: Mapping[str, Mapping[str, float]] = MappingProxyType({})


class Examiner:
    """Sets exams. The same seed, models, generation and history give the same exam.

    Attributes:
        fitness: The run's.
        racing: How generations are raced.
        rungs: Items of each task that a candidate has been asked at the end of every rung.
        rival_estimates: Scores on the search split of the models that candidates are compared with.
    """

    def __init__(
        self,
        fitness: Fitness,
        seed: int,
        models: Mapping[str, Responses],
        rivals: Mapping[str, Responses] = NO_RESPONSES,
        costs: Mapping[str, Mapping[str, float]] = NO_COSTS,
    ) -> None:
        """Learn what the models answered.

        Args:
            fitness: The run's.
            seed: The run's.
            models: By name and label, the scores of the models that candidates are made of, on every search item in
                their order; empty where `fitness.needs_parents` is false.
            rivals: The same of the models that the fitness compares candidates with.
            costs: Of all these models, by name; 1 where one is absent, as of all models of one size.

        Raises:
            EvomergeError: If a model that candidates are compared with is not among the rivals.
        """
        self.fitness, self._seed, self._rivals, self._costs = fitness, seed, rivals, costs
        self._models = {name: scored_against(fitness.spec, scores, rivals) for name, scores in models.items()}
        known = known_rivals(fitness.spec, rivals).items()
        self.rival_estimates = self._estimates(
            {name: scored_against(fitness.spec, scores, rivals) for name, scores in known}
        )
        self._exams: dict[int, Exam] = {}
        spec = fitness.spec
        is_sampled = any(self._is_sampled(label) for label in spec.searched)
        default = Halving() if spec.estimator is None and is_sampled else NoRacing()
        self.racing: RacingValue = spec.racing or default
        self.rungs = self.racing.rungs(self._num_items) if is_sampled else (EVERYTHING,)
        self.is_sequential = is_sampled

    def exam(self, generation: int, history: History = NOBODY) -> Exam:
        """What the candidates of a generation are asked.

        Args:
            generation: Its number.
            history: Of the run; read where the document wants banks recalibrated.
        """
        if generation not in self._exams:
            self._exams[generation] = Exam(tuple(self._subjects(generation, history)))
        return self._exams[generation]

    def worth(self, sheet: Sheet, generation: int, history: History = NOBODY, num_items: int = EVERYTHING) -> Worth:
        """What a candidate of a generation is worth, as its first so many answers tell it."""
        estimates = self.exam(generation, history).estimates(sheet, num_items)
        return self.fitness.worth(estimates, self.rival_estimates)

    @property
    def losses_of_models(self) -> list[tuple[float, ...]]:
        """On the search split, of the models that candidates are made of, as far as they are known."""
        asked = frozenset(self.fitness.spec.searched)
        known = {name: scores for name, scores in self._models.items() if asked <= scores.keys()}
        estimates = self._estimates(known)
        return [self.fitness.worth(own, self.rival_estimates).losses for own in estimates.values()]

    def _estimates(self, models: Mapping[str, Responses]) -> ModelEstimates:
        """Scores on the whole search split, which is why they have no error, and costs."""
        ones = dict.fromkeys(self.fitness.spec.costs, 1.0)
        return {
            name: {label: Estimate(mean_in_order(scores_N), 0.0, len(scores_N)) for label, scores_N in scores.items()}
            | costs_as_estimates({**ones, **self._costs.get(name, {})})
            for name, scores in models.items()
        }

    @property
    def _num_items(self) -> int:
        estimator = self.fitness.spec.estimator
        return DEFAULT_ITEMS if estimator is None else estimator.items or EVERYTHING

    def _is_sampled(self, label: str) -> bool:
        """Whether some of a task's items are asked: if the document says so, or they are many with scores in [0, 1]."""
        num_items, estimator = len(self.fitness.splits.search[label]), self.fitness.spec.estimator
        if estimator is not None:
            return estimator.items is not None and estimator.items < num_items
        scores = [responses[label] for responses in self._models.values() if label in responses]
        return num_items > FEW and bool(scores) and all(((s >= 0) & (s <= 1)).all() for s in scores)

    def _subjects(self, generation: int, history: History) -> Iterator[Subject]:
        for label in self.fitness.spec.searched:
            positions_N = np.array(self.fitness.splits.search[label], np.int64)
            is_lower_better = not self.fitness.objectives.directions[label]
            sampled = None
            if self._is_sampled(label):
                sampled = self._sampled(label, generation, is_lower_better, self._bank(label, generation, history))
            rival_N = answers_of_rival(self.fitness.spec, label, self._rivals)
            yield Subject(label, positions_N, is_lower_better, sampled, rival_N)

    def _sampled(self, label: str, generation: int, is_lower_better: bool, bank: Bank | None) -> Sampled:
        estimator: EstimatorConfig = self.fitness.spec.estimator or ParentConfig()
        selector = chosen_selector(estimator, self.fitness.spec.selector)
        pool = Pool(
            len(self.fitness.splits.search[label]),
            bank,
            self._parents(label, estimator, selector, is_lower_better),
            self.fitness.widening,
        )
        chosen = make_selector(selector, pool, min(self._num_items, pool.num_items), self._draw(label, generation))
        return Sampled(chosen, make_estimator(estimator, pool, chosen.design))

    def _bank(self, label: str, generation: int, history: History) -> Bank | None:
        """The task's bank, with what candidates of earlier generations answered where that is asked for."""
        bank = self.fitness.banks.get(label)
        if bank is None or not self.fitness.spec.recalibrate:
            return bank
        positions_N = np.array(self.fitness.splits.search[label])
        rows = {}
        for number, sheet in history.sheets_before(generation).items():
            row_N = np.full(len(positions_N), np.nan)
            scores_I = np.array(sheet.scores.get(label, []), np.float64)  # a bank knows 1 for right
            answered_I = np.searchsorted(positions_N, sheet.items.get(label, []))
            row_N[answered_I] = scores_I if self.fitness.objectives.directions[label] else 1 - scores_I
            rows[f"candidate {number}"] = row_N
        return recalibrate(bank, rows)

    def _draw(self, label: str, generation: int) -> Draw:
        """A generation may be asked a share of the items only, so that no item can be asked of all."""
        rotation, num_items = self.fitness.spec.rotation, len(self.fitness.splits.search[label])
        turn = () if rotation == 1 else (str(generation),)
        seed = seeds.integer(self._seed, "items", label, *turn)
        if rotation == 1:
            return Draw(seed)
        num_open = max(round(rotation * num_items), min(self._num_items, num_items))
        open_N = np.zeros(num_items, bool)
        open_N[seeds.generator(self._seed, "open items", label, *turn).permutation(num_items)[:num_open]] = True
        return Draw(seed, open_N)

    def _parents(
        self, label: str, estimator: EstimatorConfig, selector: SelectorConfig, is_lower_better: bool
    ) -> npt.NDArray[np.float64] | None:
        """The models' scores on all items of a task; None where nothing needs them and they are not known."""
        rows = [responses[label] for responses in self._models.values() if label in responses]
        if not rows and ("parents" in ESTIMATORS[estimator.name].needs or needs(selector) == "parents"):
            raise EvomergeError(
                f"Task {label}: no model could be scored, and the estimator {estimator.name} needs their answers. "
                "The log says why they failed; mend the models, or take the estimator mean."
            )
        if not rows or (isinstance(estimator, MeanConfig) and needs(selector) != "parents"):
            return None
        parents_PN = np.array(rows, np.float64)
        return 1 - parents_PN if is_lower_better else parents_PN
