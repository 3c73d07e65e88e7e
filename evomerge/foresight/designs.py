"""Designs: ways to ask candidates, all tried on the same measured answers, so that comparing them costs nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.execution import Responses
from evomerge.fitness import Fitness
from evomerge.fitness.estimators.configs import MeanConfig, ParentConfig
from evomerge.fitness.examiner import Examiner
from evomerge.fitness.fitness import Worth
from evomerge.fitness.irt.model import Floats
from evomerge.fitness.power import Spread, smallest_difference
from evomerge.fitness.racing import Halving, NoRacing
from evomerge.fitness.rivals import rivals
from evomerge.fitness.sheet import Sheet
from evomerge.foresight.measure import Measured


@dataclass(frozen=True, slots=True)
class Design:
    """One way to ask candidates.

    Attributes:
        name: For people.
        fitness: The document's, with this estimator and this racing.
    """

    name: str
    fitness: Fitness


@dataclass(frozen=True, slots=True)
class Precision:
    """How well a design tells candidates apart on one objective.

    Attributes:
        noise: Standard error of a candidate's value as a statement about all such items, without the part that common
            items add to every candidate alike.
        paired: Smallest true difference of two candidates that is seen with 80 % power on common items.
        unpaired: The same, were each asked random items of its own, as many.
        stated: The part of the noise that the estimator tells: its error about all search items.
        seen: Standard deviation of its errors among the measured candidates.
    """

    noise: float
    paired: float
    unpaired: float
    stated: float
    seen: float


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one candidate costs under a design, and what its answers tell. Promotion of a few is left out.

    Attributes:
        name: The design's.
        items: Answers of a candidate, all tasks together, on average over those that race on and those that stop.
        merge_s: Seconds of a worker spent on its weights, which are written anew on every rung.
        score_s: Seconds spent on its answers.
        tokens: Put through the model.
        models_s: Seconds of a worker spent on models that must be scored before the first candidate; all of them.
        is_bound: Whether some candidates stop early, nobody knows how many, so that costs are upper bounds.
        precision: By objective, of those that reach the last rung.
    """

    name: str
    items: float
    merge_s: float
    score_s: float
    tokens: float
    models_s: float
    is_bound: bool
    precision: Mapping[str, Precision]

    @property
    def seconds(self) -> float:
        """Of a worker, in all."""
        return self.merge_s + self.score_s


def designs_for(fitness: Fitness, measured: Measured) -> Iterator[Design]:
    """What the document asks for, then what it could ask for instead.

    Args:
        fitness: The run's.
        measured: What was seen; where scores of models leave [0, 1] no response model fits.
    """
    yield Design("as set", fitness)
    yield Design("all search items", _asking(fitness, estimator=MeanConfig(), racing=NoRacing()))
    models = [measured.scores(fitness.spec, answers) for answers in measured.models.values()]
    scores = [scores_I for responses in models for scores_I in responses.values()]
    if all(((scores_I >= 0) & (scores_I <= 1)).all() for scores_I in scores):
        for number in (80, 40, 20):
            parent = ParentConfig(items=number)
            yield Design(f"parent {number}, halving", _asking(fitness, estimator=parent, racing=Halving()))
        yield Design("parent 40", _asking(fitness, estimator=ParentConfig(items=40), racing=NoRacing()))


def prospect(design: Design, measured: Measured, seed: int, sizes: Mapping[str, int]) -> Prospect:
    """Try a design on the measured candidates.

    Args:
        design: Over the items that were measured.
        measured: Their answers.
        seed: The run's.
        sizes: Items of each task's search split in the search itself, where more may be there than were measured.
    """
    fitness = design.fitness
    examiner = measured.examiner(fitness, seed)
    sittings = [_sit(examiner, answers) for answers in measured.candidates]
    reach = _reach(examiner)
    small = {label: len(items) for label, items in fitness.search_items.items()}
    rungs = [_mean([sitting.rungs[rung] for sitting in sittings], small, sizes) for rung in range(len(reach))]
    items = {label: sum(share * rung.items[label] for share, rung in zip(reach, rungs, strict=True)) for label in sizes}
    requests = sum(share * rung.requests for share, rung in zip(reach, rungs, strict=True))
    asked = {label: sum(rung.items[label] for rung in rungs) for label in sizes}
    worths = [examiner.worth(sitting.sheet, 0) for sitting in sittings]
    costs = measured.costs
    before = {*(measured.parents if fitness.needs_parents else ()), *rivals(fitness.spec)}
    return Prospect(
        name=design.name,
        items=sum(items.values()),
        merge_s=sum(reach) * costs.merge_s,
        score_s=costs.seconds(items) + requests * costs.job_s,
        tokens=costs.tokens(items),
        models_s=len(before) * (costs.merge_s + costs.seconds(sizes) + len(sizes) * costs.job_s),
        is_bound=len(reach) > 1 and not isinstance(examiner.racing, Halving),
        precision=dict(_precisions(examiner, measured, worths, asked, sizes)),
    )


@dataclass(frozen=True, slots=True)
class _Rung:
    """What is asked of a candidate on one rung."""

    items: Mapping[str, float]
    requests: float


@dataclass(frozen=True, slots=True)
class _Sitting:
    """What one candidate was asked and answered."""

    sheet: Sheet
    rungs: Sequence[_Rung]


def _asking(fitness: Fitness, **given: object) -> Fitness:
    spec = fitness.spec.model_copy(update={"selector": None, "promotion": None, **given})
    return dataclasses.replace(fitness, spec=spec)


def _sit(examiner: Examiner, answers: Responses) -> _Sitting:
    """Ask a candidate whose answers are known, rung by rung, as a search would."""
    exam, sheet, rungs = examiner.exam(0), Sheet(), []
    positions = examiner.fitness.search_items
    for number in examiner.rungs:
        before, requests = {label: len(items) for label, items in sheet.items.items()}, 0
        while asked := exam.next(sheet, number):
            requests += len(asked)
            places = {label: np.searchsorted(positions[label], items) for label, items in asked.items()}
            sheet.add(asked, {label: answers[label][places_I] for label, places_I in places.items()})
        new = {label: len(sheet.items.get(label, ())) - before.get(label, 0) for label in positions}
        rungs.append(_Rung(new, requests))
    return _Sitting(sheet, rungs)


def _reach(examiner: Examiner) -> list[float]:
    """The share of the candidates that is asked on each rung; all of them where it depends on their answers."""
    keep = examiner.racing.keep if isinstance(examiner.racing, Halving) else 1.0
    return [keep**rung for rung in range(len(examiner.rungs))]


def _mean(rungs: Sequence[_Rung], small: Mapping[str, int], sizes: Mapping[str, int]) -> _Rung:
    """The mean over candidates; a task whose items are all asked has more of them in the search than here."""
    items = {label: float(np.mean([rung.items[label] for rung in rungs])) for label in sizes}
    whole = {label: sizes[label] if items[label] == small[label] else number for label, number in items.items()}
    return _Rung(whole, float(np.mean([rung.requests for rung in rungs])))


def _precisions(
    examiner: Examiner,
    measured: Measured,
    worths: Sequence[Worth],
    asked: Mapping[str, float],
    sizes: Mapping[str, int],
) -> Iterator[tuple[str, Precision]]:
    fitness = examiner.fitness
    spreads = spreads_of(measured, fitness)
    stated_O = np.sqrt(np.mean([np.square(worth.errors) for worth in worths], axis=0))
    whole = worths_of(examiner, measured, measured.candidates)
    seen_O = np.std(losses_of(worths) - losses_of(whole), axis=0, ddof=1)
    is_mean = isinstance(fitness.spec.estimator, MeanConfig)  # its error has a part that all candidates share
    for index, (name, shares) in enumerate(fitness.objectives.shares.items()):
        sampled = sum(share**2 * spreads[label].unshared / sizes[label] for label, share in shares.items())
        paired = sum(share**2 * spreads[label].unshared / asked[label] for label, share in shares.items())
        own = sum(share**2 * spreads[label].own / asked[label] for label, share in shares.items())
        noise = math.sqrt(paired if is_mean else stated_O[index] ** 2 + sampled)
        yield (
            name,
            Precision(
                noise=noise,
                paired=smallest_difference(math.sqrt(2) * noise),
                unpaired=smallest_difference(math.sqrt(2 * own)),
                stated=float(stated_O[index]),
                seen=float(seen_O[index]),
            ),
        )


def spreads_of(measured: Measured, fitness: Fitness) -> dict[str, Spread]:
    """By label, how much the candidates' scores vary from item to item."""
    scores = [measured.scores(fitness.spec, answers) for answers in measured.candidates]
    return {
        label: Spread.of(np.array([scores_I[label] for scores_I in scores], np.float64))
        for label in fitness.search_items
    }


def worths_of(examiner: Examiner, measured: Measured, answers: Sequence[Responses]) -> list[Worth]:
    """What candidates, or models, are worth on all measured items."""
    fitness = examiner.fitness
    estimates = [fitness.estimates(given, measured.models) for given in answers]
    return [fitness.worth(known, examiner.rival_estimates) for known in estimates]


def losses_of(worths: Sequence[Worth]) -> Floats:
    """Shape (C, O)."""
    return np.array([worth.losses for worth in worths], np.float64)
