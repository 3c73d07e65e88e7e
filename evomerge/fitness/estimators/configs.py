"""The settings of every estimator, as they stand under `estimator` in a fitness document."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pydantic

from evomerge.documents import Value


class _Config(Value):
    """What all estimators are told.

    Attributes:
        items: Items of each task that a candidate is asked; absent: the whole search split.
    """

    items: int | None = pydantic.Field(default=None, ge=1)


class MeanConfig(_Config):
    """Mean of the answers, weighted by the selector's design."""

    name: Literal["mean"] = "mean"


class PIrtConfig(_Config):
    """p-IRT of tinyBenchmarks."""

    name: Literal["p_irt"] = "p_irt"


class GpIrtConfig(_Config):
    """gp-IRT of tinyBenchmarks."""

    name: Literal["gp_irt"] = "gp_irt"


class MpIrtConfig(_Config):
    """MP-IRT of MERGE³."""

    name: Literal["mp_irt"] = "mp_irt"


class GmpIrtConfig(_Config):
    """GMP-IRT of MERGE³.

    Attributes:
        mean_share: Share of the mean of the answers; the rest is MP-IRT.
    """

    name: Literal["gmp_irt"] = "gmp_irt"
    mean_share: float = pydantic.Field(default=0.5, ge=0, le=1)


class EapConfig(_Config):
    """p-IRT averaged over the posterior of the ability, whose prior comes from the parents where they are known."""

    name: Literal["eap"] = "eap"


class ParentConfig(_Config):
    """The parent-aware model.

    Attributes:
        widening: How far a candidate may differ from what its parents lead to expect: a factor of standard deviations;
            absent: 2 where layers are routed, else 1.
            2 for candidates that they do not bracket, such as layer routes; give the selector the same, and a bank.
    """

    name: Literal["parent"] = "parent"
    widening: float | None = pydantic.Field(default=None, gt=0, le=10)


EstimatorConfig: TypeAlias = (
    MeanConfig | PIrtConfig | GpIrtConfig | MpIrtConfig | GmpIrtConfig | EapConfig | ParentConfig
)
