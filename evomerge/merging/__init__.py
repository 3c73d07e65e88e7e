"""From a recipe to tensors: in place into a resident model, or streamed to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evomerge.merging.adapters.export import export_adapter
from evomerge.merging.export import Provenance, ScoreLine, export_model
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.merging.size import Size, size_of

if TYPE_CHECKING:
    from evomerge.merging.resident import ResidentModel

__all__ = [
    "Library",
    "Merge",
    "Provenance",
    "ResidentModel",
    "ScoreLine",
    "Size",
    "export_adapter",
    "export_model",
    "size_of",
]


def __getattr__(name: str) -> Any:
    """The resident model brings transformers along, which takes seconds, and an export has no use for it."""
    if name != "ResidentModel":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from evomerge.merging.resident import ResidentModel

    return ResidentModel
