"""Reducers that bring the factors of LoRA adapters together; whole models have none."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from evomerge.recipe.numbers import Density
from evomerge.recipe.stages.base import StageValue


class Lego(StageValue):
    """Clusters the rank-1 units of all adapters and keeps one unit per cluster (LoRA-LEGO, arXiv:2409.16167).

    Weights say how often an adapter's units count in the means. `rank` is the number of clusters.
    """

    on_factors: ClassVar[bool] = True
    is_stochastic: ClassVar[bool] = True
    ignores_factor: ClassVar[bool] = True

    reduce: Literal["lego"]
    rank: int = pydantic.Field(ge=1)

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return f"{self.rank} clusters of units"


class Copa(StageValue):
    """Prunes both factors and makes the directions that lost most louder (CoPA of RobustMerge, arXiv:2502.17159).

    Weights act on both factors. `density` is the kept fraction of a factor; scales below `quantile` are raised to it.
    """

    on_factors: ClassVar[bool] = True

    reduce: Literal["copa"]
    density: Density = 0.2
    quantile: float = pydantic.Field(default=0.8, ge=0, le=1)


STAGES = (Lego, Copa)
