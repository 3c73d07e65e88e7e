"""Gates: which entries of one expert's task vector are kept."""

from __future__ import annotations

import numpy as np
import torch

from evomerge.merging.draws import Draw


def top(delta: torch.Tensor, density: float) -> torch.Tensor:
    """Keep the entries of largest magnitude (TIES, arXiv:2306.01708, section 4, per tensor).

    Exactly `max(1, int(density · numel))` entries stay; among equal magnitudes those that come first.

    Args:
        delta: Task vector of any shape, float32, on the CPU; not modified.
        density: Kept fraction in (0, 1].

    Returns:
        The task vector with zeros for what was dropped.
    """
    num_kept = max(1, int(density * delta.numel()))
    num_dropped = delta.numel() - num_kept
    if num_dropped <= 0:
        return delta
    magnitude = delta.abs().flatten()
    # NumPy selects some ten times faster than torch.kthvalue, which is most of the time that this gate takes
    threshold = float(np.partition(magnitude.numpy(), num_dropped)[num_dropped])
    kept = magnitude >= threshold
    if surplus := int(kept.count_nonzero()) - num_kept:
        tied = (magnitude == threshold).nonzero().squeeze(1)
        kept[tied[-surplus:]] = False
    return delta * kept.view_as(delta)


def bernoulli(delta: torch.Tensor, density: float, draw: Draw) -> torch.Tensor:
    """Keep each entry with probability `density` (DARE, arXiv:2311.03099, equation 2 without its rescaling).

    Args:
        delta: Task vector of any shape, float32; not modified.
        density: Probability of staying, in (0, 1].
        draw: Where the random numbers come from.

    Returns:
        The task vector with zeros for what was dropped.
    """
    if density >= 1:
        return delta
    return delta * (draw.uniform(delta.shape).to(delta.device) < density)
