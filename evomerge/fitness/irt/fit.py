"""Fits an item bank to responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from evomerge import __version__
from evomerge.errors import ConfigError
from evomerge.fitness.irt.ability import most_probable
from evomerge.fitness.irt.bank import Bank, Provenance
from evomerge.fitness.irt.em import fit_unidimensional
from evomerge.fitness.irt.mirt import fit_multidimensional
from evomerge.fitness.irt.model import Floats, ItemParameters

Method: TypeAlias = Literal["1pl", "2pl", "3pl", "mirt"]

FEWEST_MODELS: Final = 4
_MOST_HALVED = 20


def fit_bank(
    responses: Mapping[str, Sequence[float] | Floats],
    digests: Sequence[str],
    *,
    task: str,
    task_version: str,
    metric: str,
    method: Method = "2pl",
    num_dimensions: int = 5,
    seed: int = 0,
    model_digests: Mapping[str, str] | None = None,
) -> Bank:
    """Fit item parameters to what some models answered. The result does not depend on the order of the items.

    Rules of thumb for the number of models: 100 for the 1PL, 200 for the 2PL, 1,000 for the 3PL; with fewer, down to 8,
    the priors carry much of the fit.

    Args:
        responses: Scores in [0, 1] by the model's name, one per item; NaN where it was not asked.
        digests: Of the items, in the order of the scores.
        task: Name of the task.
        task_version: The version that it gives itself.
        metric: Of the scores.
        method: The response model.
        num_dimensions: Of the abilities; only `mirt` has more than one.
        seed: Of the fit of `mirt`.
        model_digests: What tells a model from others, by its name, for the provenance.

    Raises:
        ConfigError: If there are fewer than four models, rows of different lengths, an item twice, or scores outside
            [0, 1].
    """
    _check(responses, digests, task)
    responses_MN = np.array([np.asarray(row, np.float64) for row in responses.values()])
    parameters, misfit = fit_items(responses_MN, digests, method, num_dimensions, seed)
    provenance = Provenance(
        version=__version__,
        task=task,
        task_version=task_version,
        metric=metric,
        models=tuple(responses),
        method=method,
        num_dimensions=parameters.num_dimensions,
        seed=seed,
        misfit=misfit,
        items=tuple(digests),
        digests=tuple((model_digests or {}).get(name, "") for name in responses),
    )
    return Bank(provenance, parameters, responses_MN.astype(np.float32))


def fit_items(
    responses_MN: Floats,
    digests: Sequence[str],
    method: Method,
    num_dimensions: int,
    seed: int,
    is_own_M: npt.NDArray[np.bool_] | None = None,
) -> tuple[ItemParameters, float]:
    """Item parameters and their misfit, whatever the order of the items.

    Args:
        responses_MN: In [0, 1]; NaN where a model was not asked an item.
        digests: Of the items.
        method: The response model.
        num_dimensions: Of the abilities, for `mirt`.
        seed: For `mirt`.
        is_own_M: Which models are a run's own candidates; `mirt` makes no difference.
    """
    order_N = np.argsort(np.array(digests))
    sorted_MN = responses_MN[:, order_N]
    fitted = (
        fit_multidimensional(sorted_MN, num_dimensions, seed)
        if method == "mirt"
        else fit_unidimensional(sorted_MN, method, is_own_M)
    )
    return fitted.take(np.argsort(order_N)), _misfit(sorted_MN, fitted)


def _misfit(responses_MN: Floats, parameters: ItemParameters) -> float:
    """Mean absolute error of models' scores on every other item, predicted from the items between them."""
    num_dimensions = parameters.num_dimensions
    mean_D, precision_DD = np.zeros(num_dimensions), np.eye(num_dimensions)
    errors = []
    for row_N in responses_MN[:_MOST_HALVED]:
        asked_I = np.flatnonzero(~np.isnan(row_N))
        shown_I, hidden_I = asked_I[::2], asked_I[1::2]
        if hidden_I.size:
            ability_D = most_probable(parameters.take(shown_I), row_N[shown_I], mean_D, precision_DD)
            errors.append(parameters.take(hidden_I).probabilities(ability_D[None]).mean() - row_N[hidden_I].mean())
    return float(np.abs(errors).mean()) if errors else 0.0


def _check(responses: Mapping[str, Sequence[float] | Floats], digests: Sequence[str], task: str) -> None:
    if len(responses) < FEWEST_MODELS:
        what = f"responses of {len(responses)} models are too few. Give those of {FEWEST_MODELS} or more."
        raise ConfigError.at(task, what)
    if len(set(digests)) < len(digests):
        raise ConfigError.at(task, "an item stands twice among the digests. Give each item once.")
    problems = []
    for name, row in responses.items():
        scores_N = np.asarray(row, np.float64)
        if scores_N.shape != (len(digests),):
            problems.append(f'model "{name}" has {scores_N.size} scores for {len(digests)} items. Give one per item.')
        elif not ((scores_N >= 0) & (scores_N <= 1) | np.isnan(scores_N)).all():
            problems.append(f'model "{name}" has scores outside [0, 1]. Response models need a metric such as acc.')
    if problems:
        raise ConfigError.at(task, " ".join(problems))
