"""Directions spread evenly over the trade-offs between objectives."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import ConfigError


def lattice(num_objectives: int, divisions: int) -> NDArray[np.float64]:
    """All weight vectors whose entries are multiples of 1/`divisions` and sum to 1.

    Das and Dennis 1998, "Normal-boundary intersection", doi 10.1137/S1052623496307510, section 2.3.

    Args:
        num_objectives: Entries of a vector, M.
        divisions: Steps from one corner to another, at least 1.

    Returns:
        (C(divisions + M - 1, M - 1), M), the first objective's corner last.
    """
    bars = itertools.combinations(range(divisions + num_objectives - 1), num_objectives - 1)
    edges = np.array([(-1, *places, divisions + num_objectives - 1) for places in bars])
    return (np.diff(edges, axis=1) - 1) / divisions


def largest_lattice(num_objectives: int, at_most: int) -> NDArray[np.float64]:
    """The finest lattice of so many vectors at most.

    Args:
        num_objectives: At least 2.
        at_most: A population.

    Raises:
        ConfigError: If `at_most` is smaller than the number of objectives: a lattice has each objective's corner.
    """
    if at_most < num_objectives:
        what = f"{at_most} candidates cannot follow {num_objectives} objectives. Use a population of {num_objectives}"
        raise ConfigError.at("optimizer.population", f"{what} or more.")
    divisions = 1
    while math.comb(divisions + num_objectives, num_objectives - 1) <= at_most:
        divisions += 1
    return lattice(num_objectives, divisions)
