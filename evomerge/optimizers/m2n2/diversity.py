"""How varied an archive is: the share of items that somebody solves, and how much members disagree on them."""

from __future__ import annotations

import math

from scipy.special import entr

from evomerge.optimizers.m2n2.competition import Floats


def coverage(scores_PI: Floats) -> float:
    """Share of items that at least one member solves, as in the analyses of arXiv 2508.16204.

    Args:
        scores_PI: Scores of 0 and 1; of others, this is the mean best score.
    """
    return float(scores_PI.max(axis=0).mean())


def entropy(scores_PI: Floats) -> float:
    """Mean over the items of the binary entropy of the share of members that solve it, in bits, in [0, 1]."""
    share_I = scores_PI.mean(axis=0)
    return float((entr(share_I) + entr(1.0 - share_I)).mean() / math.log(2))
