"""Restoration: how much of what the gates took is given back."""

from __future__ import annotations

from typing import Literal

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


STAGES = (Restore,)
