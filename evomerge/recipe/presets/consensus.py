"""Presets in which experts settle, entry by entry, who speaks and how loudly."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Density, NotNegative, Thresholds
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import (
    BalanceWeigher,
    ClampGate,
    EnergyWeigher,
    Largest,
    Linear,
    NonzeroVote,
    OverlapWeigher,
    Scale,
    SignVote,
    StageValue,
    TallVote,
    VarianceGate,
    Weigh,
)


class ConsensusPreset(PresetValue):
    """Sum of task vectors at entries that at least `at_least` experts claim (Consensus, arXiv:2405.07813)."""

    use: Literal["consensus"]
    weights: Weights = None
    threshold: Thresholds = 0.4
    at_least: int = pydantic.Field(default=2, ge=1)
    scale: float = 0.3

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            TallVote(vote="tall", threshold=self.threshold, at_least=self.at_least),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="sum"),
            Scale(post="scale", by=self.scale),
        )


class TallMaskPreset(PresetValue):
    """Sum of task vectors at entries that one expert claims, which gives that task back (arXiv:2405.07813).

    `decoder` is the place of the expert, counted from 0.
    """

    use: Literal["tall_mask"]
    threshold: Thresholds = 0.4
    decoder: int = pydantic.Field(default=0, ge=0)

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        vote = TallVote(vote="tall", threshold=self.threshold, decoder=self.decoder)
        return vote, Linear(reduce="sum")


class EmrPreset(PresetValue):
    """Elected sign and largest magnitude among those that have it: the unified vector of EMR (arXiv:2405.17461)."""

    use: Literal["emr"]
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        vote = SignVote(vote="sign", tally="plain")
        return vote, Largest(reduce="absmax"), Scale(post="scale", by=self.scale)


class MagmaxPreset(PresetValue):
    """Entry by entry the expert that moved it most, of equals the last (MagMax, arXiv:2407.06322)."""

    use: Literal["magmax"]
    weights: Weights = None
    scale: float = 0.5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return weigh, Largest(reduce="absmax"), Scale(post="scale", by=self.scale)


class RamPreset(PresetValue):
    """Entries averaged over the experts that move them (RAM, arXiv:2601.13572).

    `epsilon` counts in root mean squares of the task vector at the tensor; `unit: one` takes it as it is.
    """

    use: Literal["ram"]
    weights: Weights = None
    epsilon: NotNegative = 0.01
    unit: Literal["rms", "one"] = "rms"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        vote = NonzeroVote(vote="nonzero", epsilon=self.epsilon, unit=self.unit)
        return vote, Weigh(weigh=self.weights or (1.0,) * num_experts), Linear(reduce="mean")


class RamPlusPreset(PresetValue):
    """RAM, with entries that one expert alone moves strengthened, counted over the model (RAM+, arXiv:2601.13572).

    `strength` is the paper's r, `limit` its alpha.
    """

    use: Literal["ram_plus"]
    weights: Weights = None
    epsilon: NotNegative = 0.01
    unit: Literal["rms", "one"] = "rms"
    strength: NotNegative = 0.1
    limit: NotNegative = 0.2
    scope: Literal["tensor", "model"] = "model"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = OverlapWeigher(
            weigh="overlap",
            epsilon=self.epsilon,
            unit=self.unit,
            strength=self.strength,
            limit=self.limit,
            scope=self.scope,
            weights=self.weights,
        )
        return weigh, Linear(reduce="sum")


class ScePreset(PresetValue):
    """Entries that vary most, signs elected, averaged by energy times `weights` (SCE, arXiv:2408.07990)."""

    use: Literal["sce"]
    weights: Weights = None
    density: Density = 0.1

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            VarianceGate(gate="variance", density=self.density),
            SignVote(vote="sign", tally="plain"),
            EnergyWeigher(weigh="energy", weights=self.weights),
            Linear(reduce="mean"),
        )


class PcbPreset(PresetValue):
    """Entries weighed by their size and their agreement with others over the model (PCB-Merging, arXiv:2410.02396)."""

    use: Literal["pcb"]
    ratio: Density = 0.1
    scope: Literal["tensor", "model"] = "model"
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            ClampGate(gate="clamp", scope=self.scope),
            BalanceWeigher(weigh="balance", ratio=self.ratio, scope=self.scope),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


PRESETS = (
    ConsensusPreset,
    TallMaskPreset,
    EmrPreset,
    MagmaxPreset,
    RamPreset,
    RamPlusPreset,
    ScePreset,
    PcbPreset,
)
