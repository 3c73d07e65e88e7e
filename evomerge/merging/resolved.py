"""Resolved: stages whose effect is a few factors once the inner products of a tensor's task vectors are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from evomerge.merging.norms import mean_cosine
from evomerge.merging.stages.posts import stock_factor
from evomerge.merging.stages.reducers_spherical import karcher_factors
from evomerge.merging.stages.weighers_joint import norm_factors
from evomerge.recipe.parts import Parts
from evomerge.recipe.sphere import sphere_weights
from evomerge.recipe.stages import Karcher, Linear, NormWeigher, Scale, Sphere, StageValue, Stock, Weigh


def is_resolvable(stage: StageValue | None, parts: Parts) -> bool:
    """Whether inner products are all that a stage of these parts needs to know of a tensor."""
    if isinstance(stage, Stock):
        return stage.scope == "tensor"
    if isinstance(stage, NormWeigher):
        is_heard_elsewhere = parts.vote is not None and parts.vote.spans_model
        return stage.scope == "tensor" and parts.lens is None and not is_heard_elsewhere
    if isinstance(stage, Sphere | Karcher):
        is_bare = not parts.gates and parts.vote is None and parts.lens is None and parts.restore is None
        return is_bare and isinstance(parts.weigh, Weigh) and getattr(stage, "scope", "tensor") == "tensor"
    return False


def resolved(parts: Parts, gram_EE: npt.NDArray[np.float64]) -> Parts:
    """The parts with factors in place of the stages that `is_resolvable` holds of.

    Args:
        parts: Of a pipe.
        gram_EE: Inner products of the task vectors at one tensor.
    """
    posts = tuple(_scale(post, gram_EE) if is_resolvable(post, parts) else post for post in parts.posts)
    weigh, reduce = parts.weigh, parts.reduce
    if is_resolvable(weigh, parts) and isinstance(weigh, NormWeigher):
        weigh = Weigh(weigh=tuple(norm_factors(weigh, np.diag(gram_EE).tolist())))
    if is_resolvable(reduce, parts) and isinstance(weigh, Weigh):
        weigh, reduce = Weigh(weigh=_factors(reduce, weigh.weigh, gram_EE)), Linear(reduce="sum")
    return dataclasses.replace(parts, weigh=weigh, reduce=reduce, posts=posts)


def _scale(post: StageValue, gram_EE: npt.NDArray[np.float64]) -> Scale:
    assert isinstance(post, Stock), "no other post is resolvable"
    return Scale(post="scale", by=stock_factor(post, mean_cosine(gram_EE), len(gram_EE)))


def _factors(reduce: StageValue, weights: tuple[float, ...], gram_EE: npt.NDArray[np.float64]) -> tuple[float, ...]:
    if isinstance(reduce, Karcher):
        return tuple(karcher_factors(gram_EE, weights, reduce.iterations, reduce.tolerance))
    assert isinstance(reduce, Sphere), "no other reducer is resolvable"
    first, second = weights
    squares = float(gram_EE[0, 0]) * first**2, float(gram_EE[1, 1]) * second**2
    shares = sphere_weights(*squares, float(gram_EE[0, 1]) * first * second, reduce.t, reduce.straight_from)
    return first * shares[0], second * shares[1]
