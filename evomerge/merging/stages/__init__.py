"""The stages of the merge algebra, each a pure function of tensors, found by the value that asks for it."""

from __future__ import annotations

from evomerge.merging.stages import (
    calibrated,
    gates,
    gates_joint,
    gates_ranked,
    gates_values,
    metric,
    posts,
    posts_depth,
    reducers,
    reducers_bands,
    reducers_spherical,
    restore,
    spectral,
    subspaces,
    votes,
    weighers,
    weighers_balance,
    weighers_divergence,
    weighers_joint,
)
from evomerge.merging.stages.signatures import Gate, Kind, Lens, Post, Reducer, Restoration, Vote, Weigher

LENSES: dict[Kind, Lens] = {**spectral.LENSES}
GATES: dict[Kind, Gate] = {
    **gates.GATES,
    **gates_ranked.GATES,
    **gates_joint.GATES,
    **gates_values.GATES,
    **spectral.GATES,
    **calibrated.GATES,
}
RESTORES: dict[Kind, Restoration] = {**restore.RESTORES, **spectral.RESTORES}
WEIGHERS: dict[Kind, Weigher] = {
    **weighers.WEIGHERS,
    **weighers_joint.WEIGHERS,
    **weighers_balance.WEIGHERS,
    **weighers_divergence.WEIGHERS,
    **calibrated.WEIGHERS,
}
VOTES: dict[Kind, Vote] = {**votes.VOTES}
REDUCERS: dict[Kind, Reducer] = {
    **reducers.REDUCERS,
    **reducers_spherical.REDUCERS,
    **reducers_bands.REDUCERS,
    **subspaces.REDUCERS,
    **metric.REDUCERS,
    **calibrated.REDUCERS,
}
POSTS: dict[Kind, Post] = {**posts.POSTS, **posts_depth.POSTS, **spectral.POSTS, **calibrated.POSTS}
