"""Posts that go by the depth of a layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.stages.base import StageValue


class Ramp(StageValue):
    """Multiplies by `alpha + beta · l / (L − 1)` in layer l of L, by `alpha` in no layer (LiNeS, arXiv:2410.17146)."""

    is_entrywise: ClassVar[bool] = True

    post: Literal["ramp"]
    alpha: float
    beta: float

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.alpha == 1.0 and self.beta == 0.0

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "more in deep layers"


class NormRamp(StageValue):
    """The ramp with `alpha = ‖Σ τ‖₁ / ‖D‖₁ / n` over the model, as LiNeS sets it for several tasks (arXiv:2410.17146).

    D is the merged task vector as it arrives, τ are those of the n experts before any stage.
    """

    is_homogeneous: ClassVar[bool] = False

    post: Literal["norm_ramp"]
    beta: float

    @property
    def spans_model(self) -> bool:
        """Other tensors always matter."""
        return True

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "more in deep layers"


STAGES = (Ramp, NormRamp)
