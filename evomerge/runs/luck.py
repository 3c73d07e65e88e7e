"""The luck of the pick: how much of the best score of a search is only that it is the best of many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evomerge import seeds
from evomerge.fitness.estimators.configs import MeanConfig
from evomerge.fitness.goals import Cost
from evomerge.fitness.rivals import rivals
from evomerge.runs.joint import Floats
from evomerge.runs.results import Results

NUM_SPLITS = 100


def luck_of_the_pick(results: Results) -> Floats | None:
    """By how much the best mean loss so far is expected to be too low, after every scored candidate.

    The items are cut into random halves. The candidate that is best on one half, of those that hold all constraints
    there or else break them least, is scored on the other; what it loses, beyond what the mean candidate loses, is the
    luck of picking it by half of the items. By all of them it is √2 times less, as errors are. (In simulations of 200
    candidates and 192 items: .076 for a true .078 where all are equally good, .036 for .029 where they differ as much as
    they err, .011 for .011 where they differ much more.) What candidates have learnt of the items from those before them
    shows on both halves, so that it is not part of this.

    Returns:
        Loss, float64, one per scored candidate; 0 at the first. None where scores are no plain means of responses, or
        compare with a model.
    """
    are_means = isinstance(results.fitness.spec.estimator, MeanConfig) or not results.examiner.is_sequential
    if not are_means or rivals(results.fitness.spec) or not results.scored:
        return None
    sums_LNI, asked_LNI = _responses(results)
    half_SI = _halves(sums_LNI.shape[2])
    here, there = (_half(results, sums_LNI, asked_LNI, half) for half in (half_SI, ~half_SI))
    here_SN, there_SN = (_mean_loss(results, half) for half in (here, there))
    counts_N = np.arange(1, here_SN.shape[1] + 1)
    common_SN = np.cumsum(np.nan_to_num(there_SN - here_SN), axis=1) / counts_N
    best_SN = _running_best(_excess(results, here), here_SN)
    loss_SN = np.take_along_axis(there_SN - here_SN, best_SN, axis=1) - common_SN
    luck_N: Floats = np.nan_to_num(np.nanmean(loss_SN, axis=0)) / math.sqrt(2)
    return luck_N


def _responses(results: Results) -> tuple[Floats, Floats]:
    """Scores (0 where not asked) and whether asked, by task, candidate and document, each (L, N, I)."""
    tasks = {label: results.fitness.spec.tasks[label].task for label in results.fitness.spec.searched}
    sheets = [results.progress.sheets[results.progress.sources[one.number]] for one in results.scored]
    documents = dict.fromkeys(
        (task, item) for sheet in sheets for label, task in tasks.items() for item in sheet.items[label]
    )
    places = {document: place for place, document in enumerate(documents)}
    scores_LNI = np.zeros((len(tasks), len(sheets), len(places)))
    asked_LNI = np.zeros_like(scores_LNI)
    for row, sheet in enumerate(sheets):
        for layer, (label, task) in enumerate(tasks.items()):
            where_I = [places[task, item] for item in sheet.items[label]]
            scores_LNI[layer, row, where_I] = sheet.scores[label]
            asked_LNI[layer, row, where_I] = 1
    return scores_LNI, asked_LNI


def _halves(num_items: int) -> npt.NDArray[np.bool_]:
    order_SI = seeds.generator(0, "runs", "luck").random((NUM_SPLITS, num_items)).argsort(axis=1)
    return order_SI < num_items // 2


@dataclass(frozen=True, slots=True)
class _Half:
    """Scores of all candidates on some of the items, by name, each (S, N); nan where none of them was asked."""

    tasks: Mapping[str, Floats]
    objectives: Mapping[str, Floats]


def _half(results: Results, scores_LNI: Floats, asked_LNI: Floats, half_SI: npt.NDArray[np.bool_]) -> _Half:
    with np.errstate(invalid="ignore", divide="ignore"):
        means_LSN = (half_SI @ scores_LNI.transpose(0, 2, 1)) / (half_SI @ asked_LNI.transpose(0, 2, 1))
    tasks = dict(zip(results.fitness.spec.searched, means_LSN, strict=True))
    objectives: dict[str, Floats] = {}
    for name, shares in results.fitness.objectives.shares.items():
        part = results.fitness.objectives.parts[name]
        if isinstance(part, Cost):  # known exactly, whatever the items
            cost_N = np.array([one.estimates[part.label].value for one in results.scored])
            objectives[name] = np.broadcast_to(cost_N, means_LSN.shape[1:])
        else:
            objectives[name] = sum((share * tasks[label] for label, share in shares.items()), np.zeros(1))
    return _Half(tasks, objectives)


def _mean_loss(results: Results, half: _Half) -> Floats:
    """Mean of the objectives' losses, (S, N)."""
    directions = results.fitness.objectives.higher_is_better
    values = half.objectives
    loss_SN: Floats = np.mean([1 - values[name] if up else values[name] for name, up in directions.items()], axis=0)
    return loss_SN


def _excess(results: Results, half: _Half) -> Floats:
    """How far the constraints are broken in total, (S, N); 0 where all hold."""
    excess_SN = np.zeros_like(next(iter(half.tasks.values())))
    for constraint in results.fitness.spec.constraints:
        value: Any = half.tasks[constraint.task] if constraint.task else half.objectives[str(constraint.objective)]
        excess_SN = excess_SN + np.maximum(0, constraint.violation(value, None)).round(9)
    return excess_SN


def _running_best(excess_SN: Floats, loss_SN: Floats) -> npt.NDArray[np.intp]:
    """Position of the best up to and with every column: the least excess, then the lowest loss; nan is worst."""
    order_SN = np.lexsort((loss_SN, excess_SN), axis=1)
    places_SN = order_SN.argsort(axis=1)
    lowest_SN = np.minimum.accumulate(places_SN, axis=1)
    best_SN: npt.NDArray[np.intp] = np.take_along_axis(order_SN, lowest_SN, axis=1)
    return best_SN
