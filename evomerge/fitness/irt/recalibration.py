"""Recalibration: a bank that goes on learning from a run's own candidates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evomerge.errors import EvomergeError
from evomerge.fitness.irt.bank import Bank
from evomerge.fitness.irt.fit import fit_items
from evomerge.fitness.irt.model import Floats


def recalibrate(bank: Bank, responses: Mapping[str, Floats]) -> Bank:
    """The bank fitted anew to its own responses and to those of a run's candidates. The same input gives the same bits.

    Candidates of one run are alike, so their abilities are a group of their own, with a mean and a standard deviation
    that are estimated (Bock and Zimowski, 1997); the calibration models keep the scale. Items may be asked because of
    earlier answers: a likelihood of all answers does not mind (Rubin, 1976).

    Args:
        bank: As it was fitted, or recalibrated before; of candidates that it knows, the new responses count.
        responses: Scores in [0, 1] by the candidate's name, one per item in the order of the bank, NaN where it was not
            asked. Candidates that were asked nothing say nothing.

    Raises:
        EvomergeError: If there are rows of another length, or scores outside [0, 1].
    """
    _check(bank, responses)
    known = bank.provenance
    num_models = len(known.models) - known.num_candidates
    rows = dict(zip(known.models, bank.responses_MN.astype(np.float64), strict=True))
    own = {name: row for name, row in rows.items() if name in known.models[num_models:]}
    own |= {name: row_N for name, row_N in responses.items() if not np.isnan(row_N).all()}
    if not own:
        return bank
    models = {name: rows[name] for name in known.models[:num_models]} | own
    responses_MN = np.array(list(models.values()))
    is_own_M = np.arange(len(models)) >= num_models
    parameters, misfit = fit_items(responses_MN, known.items, known.method, known.num_dimensions, known.seed, is_own_M)
    digests = dict(zip(known.models, known.digests, strict=False))
    provenance = known.model_copy(
        update={
            "models": tuple(models),
            "digests": tuple(digests.get(name, "") for name in models),
            "num_candidates": len(own),
            "misfit": misfit,
        }
    )
    return Bank(provenance, parameters, responses_MN.astype(np.float32))


def _check(bank: Bank, responses: Mapping[str, Floats]) -> None:
    known = bank.provenance
    calibrators, num_items = known.models[: len(known.models) - known.num_candidates], len(known.items)
    for name, row_N in responses.items():
        if row_N.shape != (num_items,):
            raise EvomergeError(f"{name} has {row_N.size} scores for a bank of {num_items} items.")
        if not ((row_N >= 0) & (row_N <= 1) | np.isnan(row_N)).all():
            raise EvomergeError(f"{name} has scores outside [0, 1]. Response models need a metric such as acc.")
        if name in calibrators:
            raise EvomergeError(f"{name} is the name of a calibration model. Give candidates names of their own.")
