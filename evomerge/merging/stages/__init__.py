"""The stages of the merge algebra, each a pure function of tensors, found by the value that asks for it."""

from __future__ import annotations

from evomerge.merging.stages import gates, posts, reducers, restore, votes, weighers
from evomerge.merging.stages.signatures import Gate, Kind, Lens, Post, Reducer, Restoration, Vote, Weigher

LENSES: dict[Kind, Lens] = {}
GATES: dict[Kind, Gate] = {**gates.GATES}
RESTORES: dict[Kind, Restoration] = {**restore.RESTORES}
WEIGHERS: dict[Kind, Weigher] = {**weighers.WEIGHERS}
VOTES: dict[Kind, Vote] = {**votes.VOTES}
REDUCERS: dict[Kind, Reducer] = {**reducers.REDUCERS}
POSTS: dict[Kind, Post] = {**posts.POSTS}
