"""Goals: objectives and constraints, as a person writes them in a fitness document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Value, fault, shown, suggestion

Name: TypeAlias = Annotated[str, pydantic.StringConstraints(pattern=r"^\w[\w.+-]*$")]
Weight: TypeAlias = Annotated[float, pydantic.Field(gt=0, le=1e6)]

CostName: TypeAlias = Literal["layers", "parameters"]
Place: TypeAlias = tuple[str | int, ...]


class Mean(Value):
    """The mean of some tasks: `[a, b]`, or `{tasks: [a, b], weights: [2, 1]}`.

    Higher is better where it is for the tasks' metrics, which must agree in that.

    Attributes:
        tasks: Labels of the tasks.
        weights: How much each counts, in the same order; only their ratios matter. Absent: all alike.
    """

    tasks: tuple[str, ...]
    weights: tuple[Weight, ...] | None = None

    @property
    def compared_with(self) -> str | None:
        """No model."""
        return None


class Forgetting(Value):
    """What a candidate lost against a model: `{forgetting: [c, d], of: base}`. Lower is better, 0 is best.

    The mean over tasks of max(0, the model's score - the candidate's), the other way round where lower is better: what
    was lost on one task is not made up for by what was gained on another. Meant for data that the experts were not
    chosen for.

    Attributes:
        forgetting: Labels of the tasks.
        of: Name of the model in the search space.
    """

    forgetting: tuple[str, ...]
    of: Name

    @property
    def tasks(self) -> tuple[str, ...]:
        """Labels of the tasks."""
        return self.forgetting

    @property
    def compared_with(self) -> str | None:
        """The model."""
        return self.of


class Cost(Value):
    """What a merge costs whoever runs it, of the merge itself: `{cost: parameters}`. Lower is better.

    For routes, which may leave layers out or repeat them; of other merges it is 1.

    Attributes:
        cost: `layers` or `parameters` of the result, per one of the model that it has its config from.
    """

    cost: CostName

    @property
    def tasks(self) -> tuple[str, ...]:
        """None: no item is asked for it."""
        return ()

    @property
    def compared_with(self) -> str | None:
        """No model."""
        return None

    @property
    def label(self) -> str:
        """Under which it stands among a candidate's scores; no task can be called that."""
        return cost_label(self.cost)


def cost_label(name: str) -> str:
    """Under which a cost stands among a candidate's scores."""
    return f"cost in {name}"


def _read_objective(given: Any) -> Any:
    if isinstance(given, Value):
        return given
    if isinstance(given, Sequence) and not isinstance(given, str):
        return Mean(tasks=tuple(given))
    if isinstance(given, Mapping) and "forgetting" in given:
        return Forgetting.model_validate(given)
    if isinstance(given, Mapping) and "tasks" in given:
        return Mean.model_validate(given)
    if isinstance(given, Mapping) and "cost" in given:
        return Cost.model_validate(given)
    forms = "[a, b], {tasks: [a, b], weights: [2, 1]}, {forgetting: [a], of: base} or {cost: parameters}"
    raise fault(f"{shown(given)} is not an objective. Write {forms}.")


Goal: TypeAlias = Mean | Forgetting | Cost
Objective: TypeAlias = Annotated[Goal, pydantic.BeforeValidator(_read_objective)]


LARGEST_SHARE = 10.0
"""A larger bound of a model's value is taken for percent."""


class Constraint(Value):
    """What every merge that is chosen must hold: `{task: mmlu, at_least: 0.95, of: base}`.

    Candidates that break it are still scored; optimisers prefer those that break it less, and a finalist that breaks
    it on the selection split is only chosen where all do.

    Attributes:
        task: Label of the task whose score is bounded, as its metric gives it.
        objective: In place of a task: name of the objective whose value is bounded.
        at_least: The lowest value that holds.
        at_most: In place of it: the highest.
        of: Absent: the bound is a value. A model of the search space: it is a share of that model's own value on the
            same items, so that 0.95 allows for a loss of 5 % of it.
    """

    task: str | None = None
    objective: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    of: Name | None = None

    @pydantic.model_validator(mode="after")
    def _says_one_thing(self) -> Constraint:
        if (self.task is None) == (self.objective is None):
            raise fault("name either a `task` or an `objective`.")
        if (self.at_least is None) == (self.at_most is None):
            raise fault("give either `at_least` or `at_most`.")
        if self.of is not None and self.bound < 0:
            raise fault(f"{self.bound:g} is no share of {self.of}'s value. Give 0 or more, or leave `of` out.")
        if self.of is not None and self.bound > LARGEST_SHARE:
            raise fault(f"{self.bound:g} is that many times {self.of}'s value. Give a share: 0.95 keeps 95 % of it.")
        return self

    @property
    def text(self) -> str:
        """As people say it: `mmlu at least 0.95 of base`."""
        side = "at least" if self.at_least is not None else "at most"
        return f"{self.task or self.objective} {side} {self.bound:g}{f' of {self.of}' if self.of else ''}"

    @property
    def side(self) -> str:
        """The key that says the bound."""
        return "at_least" if self.at_least is not None else "at_most"

    @property
    def bound(self) -> float:
        """The lowest value that holds, or the highest."""
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    def violation(self, value: float, model_value: float | None) -> float:
        """How far a value is beyond the bound, in the metric's own unit; 0 or less where it holds.

        A share s of a model's value v is v + (s - 1)|v|: of what is below 0, a share below 1 is lower still.

        Args:
            value: The candidate's.
            model_value: The model's that `of` names; without effect if it names none.
        """
        bound = self.bound
        if self.of is not None and model_value is not None:
            bound = model_value + (bound - 1) * abs(model_value)
        return bound - value if self.at_least is not None else value - bound


def faults_of_objectives(
    objectives: Mapping[str, Goal], given: Any, tasks: Mapping[str, Any] | None
) -> Iterator[InitErrorDetails]:
    """What is wrong with the tasks that objectives name.

    Args:
        objectives: By name.
        given: As they stand in the document, to name the place of a fault.
        tasks: By label; None where they are wrong themselves.
    """
    if objectives and all(isinstance(objective, Cost) for objective in objectives.values()):
        message = "nothing is asked of a candidate. Add an objective that is made of tasks."
        yield InitErrorDetails(type=fault(message), loc=(), input=given)
    for name, objective in objectives.items():
        place: Place = (name, *_key_of_tasks(given, name))
        if not objective.tasks and not isinstance(objective, Cost):
            message = "an objective is the mean of at least one task. Name the labels of its tasks, or remove it."
            yield InitErrorDetails(type=fault(message), loc=place, input=objective.tasks)
        for index, label in enumerate(objective.tasks):
            if tasks is not None and label not in tasks:
                message = f'"{label}" is not one of the tasks. {suggestion(label, tasks)}'
            elif label in objective.tasks[:index]:
                message = f'"{label}" is named twice. Name each task once.'
            else:
                continue
            yield InitErrorDetails(type=fault(message), loc=(*place, index), input=label)
        weights = objective.weights if isinstance(objective, Mean) else None
        if weights is not None and len(weights) != len(objective.tasks):
            message = f"{len(weights)} weights for {len(objective.tasks)} tasks. Give one for each, in their order."
            yield InitErrorDetails(type=fault(message), loc=(name, "weights"), input=weights)


def faults_of_constraints(
    constraints: Sequence[Constraint], tasks: Mapping[str, Any] | None, objectives: Mapping[str, Any] | None
) -> Iterator[InitErrorDetails]:
    """Constraints on what is neither a task nor an objective, or by a bound that no value of it reaches.

    Args:
        constraints: In the order of the document.
        tasks: By label; None where they are wrong themselves.
        objectives: By name; None where they are wrong themselves.
    """
    for index, constraint in enumerate(constraints):
        for key, name, known in (("task", constraint.task, tasks), ("objective", constraint.objective, objectives)):
            if name is not None and known is not None and name not in known:
                message = f'"{name}" is not one of the {key}s. {suggestion(name, known)}'
                yield InitErrorDetails(type=fault(message), loc=(index, key), input=name)
        if constraint.of is None and not 0 <= constraint.bound <= 1 and _is_share(constraint, tasks, objectives):
            yield InitErrorDetails(
                type=fault(_beyond(constraint)), loc=(index, constraint.side), input=constraint.bound
            )


def _is_share(constraint: Constraint, tasks: Mapping[str, Any] | None, objectives: Mapping[str, Any] | None) -> bool:
    """Whether what is bounded is known to lie in [0, 1]."""
    objective = objectives.get(constraint.objective) if objectives and constraint.objective else None
    labels = [constraint.task] if constraint.task else objective.tasks if objective else []
    return bool(labels) and all(label in (tasks or {}) and (tasks or {})[label].is_share for label in labels)


def _beyond(constraint: Constraint) -> str:
    """What to say of a bound outside [0, 1]."""
    bound, name = constraint.bound, constraint.task or constraint.objective
    is_percent = LARGEST_SHARE < bound <= 100
    mend = f"{bound / 100:g} is {bound:g} %" if is_percent else "`of` makes it a share of a model's value"
    return f"{bound:g} is no value of {name}, which lies in [0, 1]. Give a number from 0 to 1; {mend}."


def _key_of_tasks(given: Any, name: str) -> Place:
    """The key under which an objective lists its tasks; none where it is a plain list."""
    objective = given.get(name) if isinstance(given, Mapping) else None
    if isinstance(objective, Mapping):
        return ("forgetting",) if "forgetting" in objective else ("tasks",)
    return ()
