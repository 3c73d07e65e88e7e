"""Checkpoints on disk: lazy access to tensors, what each tensor does, and the tiny zoo."""

from evomerge.checkpoints.adapted import Adapted
from evomerge.checkpoints.adapter import Adapter
from evomerge.checkpoints.checkpoint import Checkpoint
from evomerge.checkpoints.compatibility import check_mergeable, merge_problems, route_problems
from evomerge.checkpoints.digest import digest_of
from evomerge.checkpoints.flat import stretches_of
from evomerge.checkpoints.roles import Position
from evomerge.checkpoints.rows import shared_rows

__all__ = [
    "Adapted",
    "Adapter",
    "Checkpoint",
    "Position",
    "check_mergeable",
    "digest_of",
    "merge_problems",
    "route_problems",
    "shared_rows",
    "stretches_of",
]
