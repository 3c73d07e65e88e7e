"""Reducers that take one expert here and another there."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.reducers import said, weighted_sum
from evomerge.merging.stages.signatures import Factor, Kind, Masks, Reducer
from evomerge.recipe.stages import Pick, Swap


def pick(
    reduce: Pick, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """One expert alone."""
    return said(deltas, masks)[reduce.expert] * weights[reduce.expert]


def swap(
    reduce: Swap, deltas: Sequence[torch.Tensor], masks: Masks, weights: Sequence[Factor], site: Site
) -> torch.Tensor:
    """The first expert outside, the second inside (Layer Swapping, arXiv:2410.01335, section 3)."""
    inner = inner_share(reduce, site.position.layer, site.num_layers)
    shares = [(1 - inner) * weights[0], inner * weights[1]]
    return weighted_sum(said(deltas, masks), shares)


def inner_share(reduce: Swap, layer: int | None, num_layers: int) -> float:
    """How much of the second expert a layer takes."""
    if layer is None or layer < reduce.bottom or layer >= num_layers - reduce.top:
        return 0.0
    is_between = layer < reduce.bottom + reduce.transition or layer >= num_layers - reduce.top - reduce.transition
    return 0.5 if is_between else 1.0


REDUCERS: dict[Kind, Reducer] = {Pick: pick, Swap: swap}
