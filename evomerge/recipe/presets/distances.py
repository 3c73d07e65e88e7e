"""Presets that go by how far experts moved, or by where in the model they did."""

from __future__ import annotations

from typing import Literal

import pydantic

from evomerge.recipe.numbers import NotNegative, Positive
from evomerge.recipe.presets.base import PresetValue, Weights
from evomerge.recipe.stages import (
    ClipGate,
    DivergenceWeigher,
    FusionGate,
    Linear,
    NormRamp,
    NormWeigher,
    Ramp,
    Scale,
    StageValue,
    Stock,
    Swap,
    Weigh,
)


class MetaGptPreset(PresetValue):
    """Task vectors weighed by their squared norms over the model (MetaGPT, arXiv:2406.11385).

    `exponent` is that of the norm: 0 weighs all alike, −1 evens out lengths.
    """

    use: Literal["metagpt"]
    exponent: float = 2.0
    scope: Literal["tensor", "model"] = "model"
    scale: float = 1.0

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = NormWeigher(weigh="norm", exponent=self.exponent, scope=self.scope)
        return weigh, Linear(reduce="sum"), Scale(post="scale", by=self.scale)


class WidenPreset(PresetValue):
    """Columns weighed by how far their length and direction moved (WIDEN, arXiv:2408.03092).

    Suits experts that moved very differently far, such as an instruction-tuned and a further pre-trained one.
    """

    use: Literal["widen"]
    ratio: NotNegative = 1.0
    calibration: NotNegative = 1.0
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = DivergenceWeigher(
            weigh="divergence", ratio=self.ratio, calibration=self.calibration, weights=self.weights
        )
        return weigh, Linear(reduce="sum")


class ModelStockPreset(PresetValue):
    """Mean moved towards the base as far as experts disagree in direction (Model Stock, arXiv:2403.19522).

    Obtuse angles count as right ones unless `cosine: measured`.
    """

    use: Literal["model_stock"]
    scope: Literal["tensor", "row"] = "tensor"
    cosine: Literal["clipped", "measured"] = "clipped"

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return Linear(reduce="mean"), Stock(post="stock", scope=self.scope, cosine=self.cosine)


class NearswapPreset(PresetValue):
    """Every entry moved towards the expert by at most `t`, in root mean squares of its changes (NearSwap)."""

    use: Literal["nearswap"]
    t: Positive = 1.0
    unit: Literal["rms", "one"] = "rms"
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0 / num_experts,) * num_experts)
        return ClipGate(gate="clip", at=self.t, unit=self.unit), weigh, Linear(reduce="sum")


class ArceeFusionPreset(PresetValue):
    """Entries whose importance is far out, `reach` interquartile ranges above the median (Arcee Fusion of mergekit)."""

    use: Literal["arcee_fusion"]
    reach: NotNegative = 1.5
    weights: Weights = None

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0 / num_experts,) * num_experts)
        return FusionGate(gate="fusion", reach=self.reach), weigh, Linear(reduce="sum")


class LinesPreset(PresetValue):
    """Sum of task vectors times `alpha + beta · depth` (LiNeS, arXiv:2410.17146).

    Without `alpha` it is set from norms, as for several tasks: 1/n for n experts of weight 1. For one task take
    `beta = 1 − alpha`. To follow another method, name that method's blend as the only expert, with `alpha`, or put
    `post: ramp` at the end of its pipe.
    """

    use: Literal["lines"]
    weights: Weights = None
    alpha: float | None = None
    beta: float = 0.5

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        weigh = Weigh(weigh=self.weights or (1.0,) * num_experts)
        if self.alpha is None:
            return weigh, Linear(reduce="sum"), NormRamp(post="norm_ramp", beta=self.beta)
        return weigh, Linear(reduce="sum"), Ramp(post="ramp", alpha=self.alpha, beta=self.beta)


class LayerSwapPreset(PresetValue):
    """Outer layers of the first expert, middle ones of the second, averaged in between (arXiv:2410.01335)."""

    use: Literal["layer_swap"]
    bottom: int = pydantic.Field(default=5, ge=0)
    top: int = pydantic.Field(default=2, ge=0)
    transition: int = pydantic.Field(default=1, ge=0)

    def pipe(self, num_experts: int) -> tuple[StageValue, ...]:
        """The stages that the method consists of."""
        return (Swap(reduce="swap", bottom=self.bottom, top=self.top, transition=self.transition),)


PRESETS = (
    MetaGptPreset,
    WidenPreset,
    ModelStockPreset,
    NearswapPreset,
    ArceeFusionPreset,
    LinesPreset,
    LayerSwapPreset,
)
