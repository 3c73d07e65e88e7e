"""How a fitness document names its estimator and its selector, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Value, fault, shown, suggestion
from evomerge.fitness.estimators.configs import EstimatorConfig, ParentConfig
from evomerge.fitness.estimators.registry import ESTIMATORS
from evomerge.fitness.selectors.configs import COptimalConfig, SelectorConfig
from evomerge.fitness.selectors.registry import SELECTORS, needs


def _named(kinds: Mapping[str, type[Value]], example: str) -> pydantic.BeforeValidator:
    """Read settings as the type that their name stands for, so that faults are those of that type only.

    A plain word is a name whose settings are all left out.
    """

    def read(given: Any) -> Any:
        if isinstance(given, Value):
            return given
        given = {"name": given} if isinstance(given, str) else given
        if not isinstance(given, Mapping):
            raise fault(f"{shown(given)} is neither a name nor a mapping. Write {example}.")
        if "name" not in given:
            raise fault(f'"name" is missing. Write {example}. Allowed: {", ".join(kinds)}.')
        if (kind := kinds.get(str(given["name"]))) is None:
            raise fault(f'there is no "{given["name"]}". {suggestion(str(given["name"]), kinds)}')
        return kind.model_validate(given)

    return pydantic.BeforeValidator(read)


NamedEstimator: TypeAlias = Annotated[
    EstimatorConfig,
    _named({name: entry.config for name, entry in ESTIMATORS.items()}, "{name: parent, items: 20}"),
]
NamedSelector: TypeAlias = Annotated[
    SelectorConfig,
    _named({name: entry.config for name, entry in SELECTORS.items()}, "{name: c_optimal}"),
]


def chosen_selector(estimator: EstimatorConfig, selector: SelectorConfig | None) -> SelectorConfig:
    """The selector that was named, or the one that suits the estimator."""
    if selector is None and isinstance(estimator, ParentConfig):
        return COptimalConfig(widening=estimator.widening)
    return selector or SELECTORS[ESTIMATORS[estimator.name].selector].config()


def unsuited(estimator: EstimatorConfig, selector: SelectorConfig) -> str | None:
    """Why an estimator cannot work with a selector; None if it can."""
    entry = ESTIMATORS[estimator.name]
    if entry.weighs and SELECTORS[selector.name].adapts:
        return (
            f'"{selector.name}" chooses items by the answers, and "{estimator.name}" cannot weigh those. '
            f"Take {entry.selector}, or leave the selector out."
        )
    return None


def without_bank(
    estimator: EstimatorConfig, selector: SelectorConfig, banks: Mapping[str, str | None]
) -> Iterator[InitErrorDetails]:
    """A fault of every task that lacks the item bank which the estimator or the selector needs, told where it is named.

    Args:
        estimator: Of the document.
        selector: Of the document, or what suits its estimator.
        banks: Files by label.
    """
    users: list[str] = [estimator.name] if "bank" in ESTIMATORS[estimator.name].needs else []
    users += [selector.name] if needs(selector) == "bank" else []
    subject, verb = " and ".join(f'"{name}"' for name in users), "needs" if len(users) == 1 else "need"
    mend = "Name its file as `bank`; `evomerge calibrate items` fits one."
    for label in [label for label, bank in banks.items() if bank is None and users]:
        what = f"{subject} {verb} an item bank of every searched task, and this one has none. {mend}"
        yield InitErrorDetails(type=fault(what, at=("tasks", label)), input=None)
