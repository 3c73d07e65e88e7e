"""Presets that read statistics of the models, which `evomerge calibrate statistics` measures on named data."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import Densities, NotNegative, Positive, Strength
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import Linear, Origin, Scale, StageValue, Weigh
from evomerge.recipe.stages.calibrated import (
    Channel,
    First,
    FisherWeigh,
    Metric,
    PriorGate,
    SalientGate,
    SensitivityWeigh,
)


class FisherPreset(PresetValue):
    """Mean of whole weights, each entry weighed by its diagonal Fisher information (arXiv:2111.09832).

    `normalise: model` divides each expert's Fisher by its norm over the whole model, as MergeLM and FusionBench do.
    """

    use: Literal["fisher"]
    weights: Weights = None
    floor: NotNegative = 1e-6
    unit: Literal["mean", "one"] = "mean"
    normalise: Literal["none", "model"] = "none"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = FisherWeigh(
            weigh="fisher",
            weights=self.weights or (1.0,) * num_experts,
            floor=self.floor,
            unit=self.unit,
            normalise=self.normalise,
        )
        return Origin(origin="zero"), weigh, Linear(reduce="mean")


class OtaPreset(PresetValue):
    """Mean of the most salient changes, weighed by the root of their curvature (OTA with FFG).

    The authors take both from Adam's second moments; the Fisher stands for them here. Their threshold of saliency is
    absolute; ours keeps a density, per tensor or over the model.
    """

    use: Literal["ota"]
    weights: Weights = None
    density: Densities = 0.4
    scope: Literal["tensor", "model"] = "model"
    power: NotNegative = 0.5
    floor: NotNegative = 1e-6
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weights = self.weights or (1.0,) * num_experts
        return (
            SalientGate(gate="salient", density=self.density, of="fisher", scope=self.scope),
            FisherWeigh(weigh="fisher", weights=weights, power=self.power, floor=self.floor),
            Linear(reduce="mean"),
            Scale(post="scale", by=self.scale),
        )


class RegMeanPreset(PresetValue):
    """Least squares on the inputs of every linear map (RegMean, arXiv:2212.09849); the mean for all other tensors.

    `shrink` is the paper's α, 0.9 there and 0.1 to 1 in codes. Gram matrices are means over tokens, so that data sets
    with long texts do not outvote the others.
    """

    use: Literal["regmean"]
    weights: Weights = None
    shrink: Strength = 0.9
    ridge: NotNegative = 1e-6

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return weigh, Metric(reduce="metric", shrink=self.shrink, ridge=self.ridge)


class RegMeanPlusPreset(PresetValue):
    """RegMean on what each layer reads behind layers that are merged already (RegMean++, arXiv:2508.03121).

    Every candidate takes passes of the data: fit for an export or a short search.
    """

    use: Literal["regmean++"]
    weights: Weights = None
    shrink: Strength = 0.9
    ridge: NotNegative = 1e-6

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return weigh, Metric(reduce="metric", shrink=self.shrink, ridge=self.ridge, inputs="merged")


class MatsPreset(PresetValue):
    """Matches task subspaces by conjugate gradient steps from the mean (MaTS, arXiv:2312.04339).

    `of: gram` has RegMean's objective, `kfac` the paper's block-diagonal Fisher. The number of steps regularises.
    """

    use: Literal["mats"]
    weights: Weights = None
    of: Literal["gram", "kfac"] = "gram"
    steps: int = pydantic.Field(default=50, ge=0)
    start: float = 1.0
    shrink: Strength = 1.0
    ridge: NotNegative = 0.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        return weigh, Metric(
            reduce="metric", of=self.of, shrink=self.shrink, ridge=self.ridge, steps=self.steps, start=self.start
        )


class AimPreset(PresetValue):
    """Task arithmetic that spares the base's most active input channels (AIM, arXiv:2502.02421).

    ω of the paper is `floor`. Its post, `{post: channel}`, can follow any other method.
    """

    use: Literal["aim"]
    weights: Weights = None
    scale: float = 1.0
    floor: Strength = 0.4

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            Weigh(weigh=self.weights or (0.5,) * num_experts),
            Linear(reduce="sum"),
            Scale(post="scale", by=self.scale),
            Channel(post="channel", floor=self.floor),
        )


class SensPreset(PresetValue):
    """Task arithmetic with layers weighed by the sensitivity of each expert's loss (Sens-Merging, arXiv:2502.12420).

    `transfer` is one number per expert, which the paper takes from shifts of logits on the other tasks; 1 unless given.
    """

    use: Literal["sens"]
    transfer: Weights = None
    temperature: Positive = 1.0
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        transfer = self.transfer or (1.0,) * num_experts
        return (
            SensitivityWeigh(weigh="sensitivity", transfer=transfer, temperature=self.temperature),
            Linear(reduce="sum"),
            Scale(post="scale", by=self.scale),
        )


class ObimPreset(PresetValue):
    """Each expert's most salient changes, each entry from the first expert that has one (OBIM, arXiv:2502.12217).

    The order is that of the blend's experts.
    """

    use: Literal["obim"]
    weights: Weights = None
    density: Densities = 0.2
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            SalientGate(gate="salient", density=self.density, of="act_sq"),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            First(reduce="first"),
            Scale(post="scale", by=self.scale),
        )


class RcpPreset(PresetValue):
    """Sum of the changes that help their domain more than they harm the origin (RCP-Merging, arXiv:2508.03140).

    The origin is a reasoning model, the experts are domain models. As we reconstruct it.
    """

    use: Literal["rcp"]
    weights: Weights = None
    penalty: NotNegative = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (
            PriorGate(gate="prior", penalty=self.penalty),
            Weigh(weigh=self.weights or (1.0,) * num_experts),
            Linear(reduce="sum"),
        )


PRESETS = (
    FisherPreset,
    OtaPreset,
    RegMeanPreset,
    RegMeanPlusPreset,
    MatsPreset,
    AimPreset,
    SensPreset,
    ObimPreset,
    RcpPreset,
)
