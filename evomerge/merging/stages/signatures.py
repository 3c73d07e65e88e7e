"""Signatures: what the function of a stage is called with, by slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from evomerge.merging.site import Site
from evomerge.merging.stages.stack import Stack
from evomerge.recipe.stages import StageValue

Kind: TypeAlias = type[StageValue]

Deltas: TypeAlias = Sequence[torch.Tensor]
"""One tensor per expert, float32, of one shape; never modified."""

Factor: TypeAlias = float | torch.Tensor
"""How loudly an expert speaks: a number, or a tensor that broadcasts over the task vector."""

Masks: TypeAlias = Sequence[torch.Tensor]
"""Where each expert may speak, one float32 tensor of ones and zeros per expert; empty when all may speak everywhere."""

# The first parameter of each is the value's own class, which a mapping by class cannot say: hence Any.

Lens: TypeAlias = Callable[[Any, Deltas, Site], tuple[Deltas, Callable[[torch.Tensor], torch.Tensor]]]
"""Gives the task vectors in other coordinates, and the way back for the merged one."""

Gate: TypeAlias = Callable[[Any, Stack, Site], Stack]
"""Gives the stack after the gate, by `Stack.gated`."""

Restoration: TypeAlias = Callable[[Any, Stack, Site], Deltas]
"""Gives the gated task vectors, scaled."""

Weigher: TypeAlias = Callable[[Any, Stack, Site], Sequence[Factor]]
"""Gives one factor per expert."""

Vote: TypeAlias = Callable[[Any, Deltas, Sequence[Factor], Site], Masks]
"""Gives where each expert may speak, from task vectors and factors that are not yet applied."""

Reducer: TypeAlias = Callable[[Any, Deltas, Masks, Sequence[Factor], Site], torch.Tensor]
"""Gives the merged task vector; applies factors and masks itself."""

Post: TypeAlias = Callable[[Any, torch.Tensor, Deltas, Site], torch.Tensor]
"""Gives the merged task vector after the post; the experts' task vectors before any stage stand beside it."""
