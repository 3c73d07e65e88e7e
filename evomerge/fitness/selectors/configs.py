"""The settings of every selector, as they stand under `selector` in a fitness document."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pydantic

from evomerge.documents import Value


class RandomConfig(Value):
    """Items at random, the same for all candidates."""

    name: Literal["random"] = "random"


class StratifiedConfig(Value):
    """Random items within strata.

    Attributes:
        by: Strata of alike difficulty to a bank's calibration models, or of items on which the same parents are right.
        strata: How many, of difficulty; absent: one per three items, from 2 to 10.
    """

    name: Literal["stratified"] = "stratified"
    by: Literal["difficulty", "parents"] = "difficulty"
    strata: int | None = pydantic.Field(default=None, ge=2)


class AnchorsConfig(Value):
    """Anchors: items nearest to the centres of clusters.

    Attributes:
        by: What makes items alike: the bank's parameters, or its calibration models' responses.
    """

    name: Literal["anchors"] = "anchors"
    by: Literal["parameters", "responses"] = "parameters"


class FisherConfig(Value):
    """Adaptive testing.

    Attributes:
        block: Items asked before the ability is estimated again; each block is a job. On simulated merges, blocks of 5
            err as blocks of 1 do and rank almost as well (benchmarks/2026-11-26-2cpu-fisher-blocks.md).
        top: Each item is drawn from so many of largest information. To spread the items over candidates it must be
            larger than the number that is asked.
    """

    name: Literal["fisher"] = "fisher"
    block: int = pydantic.Field(default=5, ge=1)
    top: int = pydantic.Field(default=1, ge=1)


class COptimalConfig(Value):
    """c-optimal blocks under the parent-aware model.

    Attributes:
        block: Items asked before the model is fitted again.
        top: As of `fisher`.
        widening: As of the estimator `parent`.
    """

    name: Literal["c_optimal"] = "c_optimal"
    block: int = pydantic.Field(default=10, ge=1)
    top: int = pydantic.Field(default=1, ge=1)
    widening: float | None = pydantic.Field(default=None, gt=0, le=10)


SelectorConfig: TypeAlias = RandomConfig | StratifiedConfig | AnchorsConfig | FisherConfig | COptimalConfig
