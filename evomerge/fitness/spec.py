"""The fitness document: what a person writes in `fitness/NAME.yaml`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pydantic

from evomerge.documents import Tree, Value, fault
from evomerge.fitness.estimation import NamedEstimator, NamedSelector, chosen_selector, unsuited, without_bank
from evomerge.fitness.estimators.configs import EstimatorConfig
from evomerge.fitness.goals import Constraint, Cost, Name, Objective, faults_of_constraints, faults_of_objectives
from evomerge.fitness.measures import Agreement, Metric
from evomerge.fitness.racing import Halving, Racing, RacingValue
from evomerge.fitness.selectors.configs import SelectorConfig

SplitName: TypeAlias = Literal["search", "selection", "test"]


SHARES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""Metrics of lm-eval's whose scores lie in [0, 1]."""

DEFAULT_ITEMS = 40
"""Of each task that a candidate is asked, where the document names no estimator."""


class TaskEntry(Value):
    """What is scored under one label.

    Attributes:
        task: Name of an lm-eval task.
        metric: What is taken from it, one number per item: a metric of lm-eval's by its plain name (`acc`), or a
            measure of evomerge's as a mapping (`{name: margin}`, see `evomerge.fitness.measures`). A task's own metric
            that is called margin too is the plain name.
        filter: The task's answer filter; absent: the only one it has.
        num_fewshot: Examples in the prompt; absent: what the task says, else none.
        generation: How answers are written where that differs from the task's file, in lm-eval's words
            (`{max_gen_toks: 1024, until: []}`); absent: as the file says.
        bank: The task's item bank, relative to the working directory; for estimators and selectors that need one.
    """

    task: str = pydantic.Field(min_length=1)
    metric: Metric
    filter: str | None = None
    num_fewshot: int | None = pydantic.Field(default=None, ge=0)
    generation: dict[str, Tree] | None = None
    bank: str | None = pydantic.Field(default=None, min_length=1)

    @property
    def metric_name(self) -> str:
        """The metric's or the measure's name."""
        return self.metric if isinstance(self.metric, str) else self.metric.name

    @property
    def metric_words(self) -> str:
        """The metric's name, or what the measure's scores are in plain words."""
        return self.metric if isinstance(self.metric, str) else self.metric.words

    @property
    def is_share(self) -> bool:
        """Whether scores are known to lie in [0, 1]."""
        return self.metric in SHARES if isinstance(self.metric, str) else self.metric.is_share

    @property
    def agrees_with(self) -> str | None:
        """The model that answers are compared with, if the metric is agreement."""
        return self.metric.model if isinstance(self.metric, Agreement) else None


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
        objectives: What is optimised, by the objective's name: a mean of tasks, weighted if need be; what was
            forgotten; what the merge costs. A task that neither an objective nor a constraint names is scored for
            finalists only.
        constraints: What every merge must hold.
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
        recalibrate: Whether item banks go on learning from the run's own candidates, generation by generation.
        promotion: Items of each task that the best are asked beyond the estimator's: those that no candidate so far
            dominates; absent: none.
        batch_size: Requests per forward pass.
        batching: `shared`: what prompts have in common is read once, where the model gives the same log-likelihoods
            then, up to rounding. `lm_eval`: every prompt is read by itself, in the batches of the lm_eval command, for
            its numbers to the last bit (those of running texts up to rounding).
        max_length: Longest prompt and answer together, in tokens; absent: what the model's config says.
        apply_chat_template: Whether prompts are written as a chat.
        system_instruction: What stands before every prompt, as the system's message in a chat.
        enable_thinking: Told to the chat template, where it asks; absent: not told.
        think_end_token: What ends a model's thoughts: of an answer, only what follows it counts. Absent: all of it.
        allow_code: Whether tasks may run code of their own.
    """

    evomerge: Literal["fitness/1"]
    include: tuple[str, ...] = ()
    tasks: dict[Name, TaskEntry] = pydantic.Field(min_length=1)
    objectives: dict[Name, Objective] = pydantic.Field(min_length=1)
    constraints: tuple[Constraint, ...] = ()
    splits: Shares = Shares()
    items: Caps = Caps()
    estimator: NamedEstimator | None = None
    selector: NamedSelector | None = pydantic.Field(default=None, validate_default=True)
    racing: Racing | None = None
    rotation: float = pydantic.Field(default=0.5, gt=0, le=1)
    recalibrate: bool = False
    promotion: int | None = pydantic.Field(default=None, ge=1)
    batch_size: int = pydantic.Field(default=64, ge=1)
    batching: Literal["shared", "lm_eval"] = "shared"
    max_length: int | None = pydantic.Field(default=None, ge=1)
    apply_chat_template: bool = False
    system_instruction: str | None = pydantic.Field(default=None, min_length=1)
    think_end_token: str | None = pydantic.Field(default=None, min_length=1)
    enable_thinking: bool | None = None
    allow_code: bool = False

    @pydantic.field_validator("objectives", mode="wrap")
    @classmethod
    def _of_known_tasks(
        cls,
        given: Any,
        handler: pydantic.ValidatorFunctionWrapHandler,
        info: pydantic.ValidationInfo,
    ) -> dict[str, Objective]:
        objectives: dict[str, Objective] = handler(given)
        if faults := list(faults_of_objectives(objectives, given, info.data.get("tasks"))):
            raise pydantic.ValidationError.from_exception_data("objectives", faults)
        return objectives

    @pydantic.field_validator("constraints")
    @classmethod
    def _on_what_is_known(
        cls, constraints: tuple[Constraint, ...], info: pydantic.ValidationInfo
    ) -> tuple[Constraint, ...]:
        known = info.data.get("tasks"), info.data.get("objectives")
        if faults := list(faults_of_constraints(constraints, *known)):
            raise pydantic.ValidationError.from_exception_data("constraints", faults)
        return constraints

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
        if {"tasks", "objectives", "constraints"} <= set(info.data):
            labels = _searched(info.data["tasks"], info.data["objectives"], info.data["constraints"])
            banks = {label: info.data["tasks"][label].bank for label in labels}
            if faults := list(without_bank(estimator, chosen, banks)):
                raise pydantic.ValidationError.from_exception_data("selector", faults)
        return selector

    @pydantic.field_validator("enable_thinking")
    @classmethod
    def _thinks_in_a_chat(cls, is_on: bool | None, info: pydantic.ValidationInfo) -> bool | None:
        if is_on is not None and not info.data.get("apply_chat_template", True):
            raise fault("it is told to a chat template, and none is used. Set apply_chat_template: true.")
        if is_on and info.data.get("think_end_token", "") is None:
            raise fault("thoughts would count as the answer. Say by think_end_token what ends them, such as </think>.")
        return is_on

    @property
    def costs(self) -> tuple[str, ...]:
        """What objectives want to be known of a merge itself."""
        return tuple(dict.fromkeys(part.cost for part in self.objectives.values() if isinstance(part, Cost)))

    @pydantic.field_validator("racing", "promotion")
    @classmethod
    def _acts(cls, given: RacingValue | int | None, info: pydantic.ValidationInfo) -> RacingValue | int | None:
        """Refuse what would change nothing."""
        estimator: EstimatorConfig | None = info.data.get("estimator")
        num_items = DEFAULT_ITEMS if estimator is None else estimator.items
        first = given.first if isinstance(given, Halving) else None
        if num_items is not None and first is not None and first >= num_items:
            raise fault(f"the first rung asks {first} items, the estimator no more than {num_items}. Ask fewer first.")
        if num_items is not None and isinstance(given, int) and given <= num_items:
            raise fault(f"{given} items are not more than the estimator's {num_items}. Give more, or leave it out.")
        return given

    @property
    def searched(self) -> tuple[str, ...]:
        """Labels that an objective or a constraint names, in the order of `tasks`: what candidates are scored on."""
        return _searched(self.tasks, self.objectives, self.constraints)


def _searched(
    tasks: Iterable[str], objectives: Mapping[str, Objective], constraints: Sequence[Constraint]
) -> tuple[str, ...]:
    named = {label for objective in objectives.values() for label in objective.tasks}
    named |= {constraint.task for constraint in constraints if constraint.task}
    return tuple(label for label in tasks if label in named)
