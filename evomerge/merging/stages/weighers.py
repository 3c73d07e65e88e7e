"""Weighers: how loudly each expert speaks."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.merging.site import Site
from evomerge.merging.stages.signatures import Factor, Kind, Weigher
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import Weigh


def free(weigh: Weigh, stack: Stack, site: Site) -> Sequence[Factor]:
    """The factors that the recipe gives."""
    return weigh.weigh


WEIGHERS: dict[Kind, Weigher] = {Weigh: free}
