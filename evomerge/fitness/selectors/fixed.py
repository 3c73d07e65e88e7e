"""Items chosen before anything is answered: at random, and at random within strata."""

from __future__ import annotations

import numpy as np

from evomerge.fitness.answers import Design
from evomerge.fitness.irt.model import Floats, Items
from evomerge.fitness.selectors.base import Ordered


def random_items(num_items: int, seed: int) -> Ordered:
    """All items in random order."""
    order_N = np.random.default_rng(seed).permutation(num_items)
    return Ordered(order_N, Design(np.zeros(num_items, np.intp)))


def stratified_items(strata_N: Items, seed: int, importance_S: Floats | None = None) -> Ordered:
    """Random items of every stratum in turn; any beginning of the order holds each stratum's share, rounded.

    Args:
        strata_N: Number of every item's stratum, from 0 without gaps.
        seed: Of the order within a stratum.
        importance_S: Standard deviation of a score within each stratum, to which its share of the items is
            proportional besides its size (Neyman's allocation); absent: the size alone.
    """
    num_strata = int(strata_N.max()) + 1
    weights_S = np.bincount(strata_N) * (np.ones(num_strata) if importance_S is None else importance_S)
    shuffled_N = np.random.default_rng(seed).permutation(len(strata_N))
    members = [shuffled_N[strata_N[shuffled_N] == stratum] for stratum in range(num_strata)]
    # The k-th item of a stratum of weight w is due at time (k - 1/2) / w: Sainte-Laguë's rule.
    due_N = np.concatenate(
        [(np.arange(len(items)) + 0.5) / weight for items, weight in zip(members, weights_S, strict=True)]
    )
    order_N = np.concatenate(members)[np.argsort(due_N, kind="stable")]
    return Ordered(order_N, Design(strata_N))


def strata_of_difficulty(shares_N: Floats, num_strata: int) -> Items:
    """Strata of about equal size by the share of calibration models that are right."""
    inner = np.quantile(shares_N, np.linspace(0, 1, num_strata + 1)[1:-1])
    _, strata_N = np.unique(np.digitize(shares_N, inner), return_inverse=True)
    return strata_N.astype(np.intp)


def strata_of_parents(parents_PN: Floats) -> tuple[Items, Floats]:
    """Strata of items on which the same parents are right, and how much children vary within each.

    Children repeat what their parents agree on, so half as many items are spent there: measured on real merges, a
    score's standard deviation is about 0.25 within the unanimous strata and 0.5 within the others.
    """
    right_PN = parents_PN > 0.5
    patterns, strata_N = np.unique(right_PN, axis=1, return_inverse=True)
    unanimous_S = patterns.all(0) | ~patterns.any(0)
    return strata_N.reshape(-1).astype(np.intp), np.where(unanimous_S, 0.25, 0.5)
