"""Rivals: the models that a fitness compares candidates with, by their names in the search space."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from evomerge.documents import suggestion
from evomerge.errors import EvomergeError, Problem
from evomerge.fitness.estimators import Scores
from evomerge.fitness.measures import agreement
from evomerge.fitness.spec import FitnessSpec

Responses = Mapping[str, Scores]
"""By label."""


def rivals(spec: FitnessSpec) -> tuple[str, ...]:
    """Names of the models whose own responses a candidate's scores are made with, each once, in the order named."""
    return tuple(dict.fromkeys(name for _, name in _named(spec)))


def known_rivals(spec: FitnessSpec, models: Mapping[str, Responses]) -> dict[str, Responses]:
    """The responses of every rival.

    Raises:
        EvomergeError: If one of them was not scored.
    """
    if missing := [name for name in rivals(spec) if name not in models]:
        names = " and ".join(missing)
        what = f"Candidates are compared with {names}, and there are no scores of it."
        raise EvomergeError(f"{what} The log says whether it failed; mend the model, or compare with another.")
    return {name: models[name] for name in rivals(spec)}


def unknown_rivals(spec: FitnessSpec, models: Collection[str], where: str) -> Iterator[Problem]:
    """A problem for every place that names a model which the search space does not have.

    Args:
        spec: The document.
        models: Names of the search space's models.
        where: The document's name.
    """
    for key, name in _named(spec):
        if name not in models:
            what = f'"{name}" is not a model of the search space. {suggestion(name, models)}'
            yield Problem(f"{where}: {key}", what)


def scored_against(spec: FitnessSpec, responses: Responses, models: Mapping[str, Responses]) -> dict[str, Scores]:
    """Responses with agreement made out of them; those of other metrics as they are.

    Args:
        spec: The document.
        responses: A candidate's, by label; float32, shape (I,).
        models: Those of the models of `rivals`, by name and label, to the same items in the same order.

    Raises:
        EvomergeError: If one of these models is not among them.
    """
    made = dict(responses)
    for label, entry in spec.tasks.items():
        if entry.agrees_with is not None and label in responses:
            made[label] = agreement(responses[label], known_rivals(spec, models)[entry.agrees_with][label])
    return made


def answers_of_rival(spec: FitnessSpec, label: str, models: Mapping[str, Responses]) -> Scores | None:
    """What the model answered that a task's answers should agree with; None where there is no such model.

    Raises:
        EvomergeError: If it is not among the models.
    """
    name = spec.tasks[label].agrees_with
    return None if name is None else known_rivals(spec, models)[name][label]


def _named(spec: FitnessSpec) -> Iterator[tuple[str, str]]:
    """Every place that names a model, and the name."""
    for label, entry in spec.tasks.items():
        if entry.agrees_with is not None:
            yield f"tasks.{label}.metric.with", entry.agrees_with
    for name, objective in spec.objectives.items():
        if objective.compared_with is not None:
            yield f"objectives.{name}.of", objective.compared_with
    for index, constraint in enumerate(spec.constraints):
        if constraint.of is not None:
            yield f"constraints[{index}].of", constraint.of
