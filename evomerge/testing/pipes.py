"""Pipes for tests, written as they stand in a file."""

from __future__ import annotations

from typing import Any

from evomerge.documents import Tree
from evomerge.recipe.stages import parse_stage


def pipe_of(*stages: Tree) -> tuple[Any, ...]:
    """Stages from their plain data; of which kinds is the test's to know."""
    return tuple(map(parse_stage, stages))
