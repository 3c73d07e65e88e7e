"""The blend of adapters: what it changes of one tensor of their base, as factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from evomerge import seeds
from evomerge.checkpoints import Checkpoint
from evomerge.checkpoints.adapted import Adapted
from evomerge.checkpoints.factors import Factors
from evomerge.merging.adapters.algebra import concatenated
from evomerge.merging.adapters.copa import copa
from evomerge.recipe.parts import Parts
from evomerge.recipe.stages import Linear, StageValue, Weigh
from evomerge.recipe.stages.adapters import Copa, Lego

# the first parameter is the value's own class, which a mapping by class cannot say: hence Any
Combine: TypeAlias = Callable[[Any, Sequence[Factors], Sequence[float], np.random.Generator], Factors]


def _sum(reduce: Linear, changes: Sequence[Factors], weights: Sequence[float], rng: np.random.Generator) -> Factors:
    return concatenated(changes, weights)


def _lego(reduce: Lego, changes: Sequence[Factors], weights: Sequence[float], rng: np.random.Generator) -> Factors:
    from evomerge.merging.adapters.lego import lego  # brings scipy along, which few merges need

    return lego(changes, weights, reduce.rank, rng)


def _copa(reduce: Copa, changes: Sequence[Factors], weights: Sequence[float], rng: np.random.Generator) -> Factors:
    return copa(changes, weights, reduce.density, reduce.quantile)


_COMBINE: Mapping[type[StageValue], Combine] = {Linear: _sum, Lego: _lego, Copa: _copa}


def adapters_on(origin: Checkpoint | None, experts: Sequence[Checkpoint | None]) -> list[Adapted] | None:
    """The experts, where all are adapters on the origin; else None."""
    adapters = [expert for expert in experts if isinstance(expert, Adapted) and expert.base is origin]
    return adapters if len(adapters) == len(experts) else None


def acts_on_factors(parts: Parts) -> bool:
    """Whether factors are enough to do what a pipe does: it sums task vectors, or is made for factors."""
    if parts.reduce.on_factors:
        return True
    return parts.is_affine and (parts.sums_to_one or not parts.from_zero)


def merged_change(parts: Parts, adapters: Sequence[Adapted], name: str, seed: int) -> Factors | None:
    """What a blend of adapters adds to a tensor of their base.

    Args:
        parts: Of a pipe that acts on factors.
        adapters: One per expert.
        name: The tensor.
        seed: Of the blend.

    Returns:
        Float32 factors of scale 1; None where no adapter changes the tensor, or none is heard.

    Raises:
        CandidateFailed: If the adapters' ranks do not suit the reducer.
    """
    assert isinstance(parts.weigh, Weigh), "parts that act on factors have plain weights"
    scale = 1.0 if parts.scale is None else parts.scale
    heard = [
        (adapter.factors(name), weight)
        for adapter, weight in zip(adapters, parts.weigh.weigh, strict=True)
        if adapter.has_factors(name) and not (isinstance(parts.reduce, Lego) and weight == 0)
    ]
    if not heard:
        return None
    changes, weights = zip(*heard, strict=True)
    merged = _COMBINE[type(parts.reduce)](parts.reduce, changes, weights, seeds.generator(seed, "units", name))
    return merged if scale == 1.0 else merged.of(merged.b_OR * scale, merged.a_RI)
