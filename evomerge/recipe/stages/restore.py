"""Restoration: how much of what the gates took is given back."""

from __future__ import annotations

from typing import ClassVar, Literal

from evomerge.recipe.numbers import Positive
from evomerge.recipe.stages.base import StageValue


class Restore(StageValue):
    """Gives back what the gates took: nothing, 1/density (DARE), or each tensor's L1 norm (mergekit's DARE).

    With several gates, the density is the product over kinds of the smallest of each kind, because the masks of one
    kind are nested.
    """

    restore: Literal["none", "inverse", "l1"]

    @property
    def is_neutral(self) -> bool:
        """Whether it does nothing."""
        return self.restore == "none"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return {"none": "", "inverse": "rescaled by 1/density", "l1": "rescaled to full norm"}[self.restore]


class StdRestore(StageValue):
    """Multiplies by `factor` standard deviations that the task vector had before the gates (ComPEFT, arXiv:2311.13171).

    Meant for signs; without a gate it does nothing. `scope: model` takes the deviation over all tensors of the rule.
    """

    is_homogeneous: ClassVar[bool] = False
    is_entrywise_over_model: ClassVar[bool] = True

    restore: Literal["std"]
    factor: Positive = 1.0
    scope: Literal["tensor", "model"] = "model"

    @property
    def phrase(self) -> str:
        """What it does, in words."""
        return "as large as changes spread"


STAGES = (Restore, StdRestore)
