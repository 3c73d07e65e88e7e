"""The fitness document: what a person writes in `fitness/NAME.yaml`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, TypeAlias

import pydantic
from pydantic_core import InitErrorDetails

from evomerge.documents import Value, fault, suggestion
from evomerge.fitness.estimation import NamedEstimator, NamedSelector, chosen_selector, unsuited, without_bank
from evomerge.fitness.estimators.configs import EstimatorConfig
from evomerge.fitness.racing import Racing
from evomerge.fitness.selectors.configs import SelectorConfig

Name: TypeAlias = Annotated[str, pydantic.StringConstraints(pattern=r"^\w[\w.+-]*$")]
SplitName: TypeAlias = Literal["search", "selection", "test"]


class TaskEntry(Value):
    """What is scored under one label.

    Attributes:
        task: Name of an lm-eval task.
        metric: The metric of the task that is taken, one number per item.
        filter: The task's answer filter; absent: the only one it has.
        num_fewshot: Examples in the prompt; absent: what the task says, else none.
        bank: The task's item bank, relative to the working directory; for estimators and selectors that need one.
    """

    task: str = pydantic.Field(min_length=1)
    metric: str = pydantic.Field(min_length=1)
    filter: str | None = None
    num_fewshot: int | None = pydantic.Field(default=None, ge=0)
    bank: str | None = pydantic.Field(default=None, min_length=1)


class Shares(Value):
    """Shares of the items that search, the choice of finalists and the final report may see.

    Attributes:
        search: Share of the items that candidates are scored on.
        selection: Share that finalists are chosen on.
        test: Share that the reported numbers come from.
        by: Fields of a document that say what it is about: documents that agree in them, in whatever task,
            fall into the same split. Absent: the whole document.
    """

    search: float = pydantic.Field(default=0.4, gt=0, lt=1)
    selection: float = pydantic.Field(default=0.2, gt=0, lt=1)
    test: float = pydantic.Field(default=0.4, gt=0, lt=1)
    by: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _at_most_all(self) -> Shares:
        total = math.fsum((self.search, self.selection, self.test))
        if total > 1 + 1e-9:
            raise fault(f"the shares sum to {total:.6g}. Together they are at most 1; lower one of them.")
        return self


class Caps(Value):
    """At most so many items of a split per task; absent: all."""

    search: int | None = pydantic.Field(default=None, ge=1)
    selection: int | None = pydantic.Field(default=None, ge=1)
    test: int | None = pydantic.Field(default=None, ge=1)


class FitnessSpec(Value):
    """What better means: tasks, the objectives made of them, and who may see which items.

    Attributes:
        include: Folders of lm-eval task files, relative to the working directory. Absent: the harness's own tasks only.
        tasks: What is scored, by label.
        objectives: Tasks whose mean is optimised, by the objective's name. A task that no objective names is scored for
            finalists only.
        splits: How the items are divided.
        items: How many of them are used.
        estimator: How a candidate's score on the search split is told from the items that it was asked. Absent: from
            40 items by the parent-aware model, where the split has more than 100 and scores lie in [0, 1]; else from
            all of them.
        selector: Which items those are; absent: what suits the estimator.
        racing: How a generation's candidates are asked in rungs, and who goes on after each; absent: halving where the
            estimator is absent too, else none.
        rotation: Share of a task's search items that one generation may be asked, drawn anew for the next, so that a
            search cannot learn a few items by heart; 1 asks all generations alike.
        promotion: Items of each task that the best are asked beyond the estimator's: those that no candidate so far
            dominates; absent: none.
        batch_size: Requests per forward pass.
        max_length: Longest prompt and answer together, in tokens; absent: what the model's config says.
        apply_chat_template: Whether prompts are written as a chat.
        allow_code: Whether tasks may run code of their own.
    """

    evomerge: Literal["fitness/1"]
    include: tuple[str, ...] = ()
    tasks: dict[Name, TaskEntry] = pydantic.Field(min_length=1)
    objectives: dict[Name, tuple[str, ...]] = pydantic.Field(min_length=1)
    splits: Shares = Shares()
    items: Caps = Caps()
    estimator: NamedEstimator | None = None
    selector: NamedSelector | None = pydantic.Field(default=None, validate_default=True)
    racing: Racing | None = None
    rotation: float = pydantic.Field(default=0.5, gt=0, le=1)
    promotion: int | None = pydantic.Field(default=None, ge=1)
    batch_size: int = pydantic.Field(default=64, ge=1)
    max_length: int | None = pydantic.Field(default=None, ge=1)
    apply_chat_template: bool = False
    allow_code: bool = False

    @pydantic.field_validator("objectives")
    @classmethod
    def _of_known_tasks(
        cls, objectives: dict[str, tuple[str, ...]], info: pydantic.ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        if faults := list(_faults(objectives, info.data.get("tasks"))):
            raise pydantic.ValidationError.from_exception_data("objectives", faults)
        return objectives

    @pydantic.field_validator("selector")
    @classmethod
    def _suited(cls, selector: SelectorConfig | None, info: pydantic.ValidationInfo) -> SelectorConfig | None:
        estimator: EstimatorConfig | None = info.data.get("estimator")
        if estimator is None:
            if selector is not None and "estimator" in info.data:
                raise fault("a selector without an estimator. Name both, or neither.")
            return selector
        chosen = chosen_selector(estimator, selector)
        if reason := unsuited(estimator, chosen):
            raise fault(reason)
        if {"tasks", "objectives"} <= set(info.data):
            labels = _searched(info.data["tasks"], info.data["objectives"])
            banks = {label: info.data["tasks"][label].bank for label in labels}
            if reason := without_bank(estimator, chosen, banks):
                raise fault(reason)
        return selector

    @property
    def searched(self) -> tuple[str, ...]:
        """Labels that an objective names, in the order of `tasks`: what every candidate is scored on."""
        return _searched(self.tasks, self.objectives)


def _searched(tasks: Iterable[str], objectives: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    named = {label for members in objectives.values() for label in members}
    return tuple(label for label in tasks if label in named)


def _faults(objectives: dict[str, tuple[str, ...]], tasks: dict[str, TaskEntry] | None) -> Iterator[InitErrorDetails]:
    """What is wrong with objectives; `tasks` is None where they are wrong themselves."""
    for name, members in objectives.items():
        if not members:
            message = "an objective is the mean of at least one task. Name the labels of its tasks, or remove it."
            yield InitErrorDetails(type=fault(message), loc=(name,), input=members)
        for index, label in enumerate(members):
            if tasks is not None and label not in tasks:
                message = f'"{label}" is not one of the tasks. {suggestion(label, tasks)}'
            elif label in members[:index]:
                message = f'"{label}" is named twice. Name each task once.'
            else:
                continue
            yield InitErrorDetails(type=fault(message), loc=(name, index), input=label)
