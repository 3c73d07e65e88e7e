"""Presets for LoRA adapters, which work on their factors."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Density
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import StageValue, Weigh
from evomerge.recipe.stages.adapters import Copa, Lego


class LegoPreset(PresetValue):
    """Rank-1 units of all adapters clustered, one unit kept per cluster: LoRA-LEGO (arXiv:2409.16167).

    `rank` is the number of clusters, and so the rank of the merged adapter. Weights, all 1 unless given, say how often
    an adapter's units count.
    """

    use: Literal["lora_lego"]
    rank: int = pydantic.Field(default=16, ge=1)
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return Weigh(weigh=self.weights or (1.0,) * num_experts), Lego(reduce="lego", rank=self.rank)


class CopaPreset(PresetValue):
    """Factors pruned, directions that lost most made louder: CoPA of RobustMerge (arXiv:2502.17159).

    Defaults are those of the authors' code, where every adapter has the weight 2.
    """

    use: Literal["copa"]
    density: Density = 0.2
    quantile: float = pydantic.Field(default=0.8, ge=0, le=1)
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (2.0,) * num_experts
        return Weigh(weigh=weights), Copa(reduce="copa", density=self.density, quantile=self.quantile)


PRESETS = (LegoPreset, CopaPreset)
