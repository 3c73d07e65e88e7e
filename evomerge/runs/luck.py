"""The luck of the pick: how much of the best score of a search is only that it is the best of many."""

from __future__ import annotations

import math

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

    The items are cut into random halves. The candidate that is best on one half is scored on the other; what it loses,
    beyond what the mean candidate loses, is the luck of picking it by half of the items. By all of them it is √2 times
    less, as errors are. (In simulations of 200 candidates and 192 items: .076 for a true .078 where all are equally
    good, .036 for .029 where they differ as much as they err, .011 for .011 where they differ much more.) What candidates
    have learnt of the items from those before them shows on both halves, so that it is not part of this.

    Returns:
        Loss, float64, one per scored candidate; 0 at the first. None where scores are no plain means of responses, or
        compare with a model.
    """
    are_means = isinstance(results.fitness.spec.estimator, MeanConfig) or not results.examiner.is_sequential
    if not are_means or rivals(results.fitness.spec) or not results.scored:
        return None
    sums_LNI, asked_LNI = _responses(results)
    half_SI = _halves(sums_LNI.shape[2])
    here_SN, there_SN = (_mean_losses(results, sums_LNI, asked_LNI, half) for half in (half_SI, ~half_SI))
    counts_N = np.arange(1, here_SN.shape[1] + 1)
    common_SN = np.cumsum(np.nan_to_num(there_SN - here_SN), axis=1) / counts_N
    best_SN = _running_argmin(np.nan_to_num(here_SN, nan=np.inf))
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


def _mean_losses(results: Results, scores_LNI: Floats, asked_LNI: Floats, half_SI: npt.NDArray[np.bool_]) -> Floats:
    """Mean of the objectives' losses on some of the items, (S, N); nan where a task was not asked any of them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means_LSN = (half_SI @ scores_LNI.transpose(0, 2, 1)) / (half_SI @ asked_LNI.transpose(0, 2, 1))
    labels, objectives = list(results.fitness.spec.searched), results.fitness.objectives
    losses = []
    for name, shares in objectives.shares.items():
        part = objectives.parts[name]
        if isinstance(part, Cost):  # known exactly, whatever the items
            cost_N = np.array([one.estimates[part.label].value for one in results.scored])
            losses.append(np.broadcast_to(cost_N, means_LSN.shape[1:]))
            continue
        mean_SN = sum((share * means_LSN[labels.index(label)] for label, share in shares.items()), np.zeros(1))
        losses.append(1 - mean_SN if objectives.higher_is_better[name] else mean_SN)
    loss_SN: Floats = np.mean(losses, axis=0)
    return loss_SN


def _running_argmin(values_SN: Floats) -> npt.NDArray[np.intp]:
    """Position of the lowest value up to and with every column."""
    lowest_SN = np.minimum.accumulate(values_SN, axis=1)
    fresh_SN = np.diff(lowest_SN, axis=1, prepend=np.inf) < 0
    best_SN: npt.NDArray[np.intp] = np.maximum.accumulate(np.where(fresh_SN, np.arange(values_SN.shape[1]), 0), axis=1)
    return best_SN
