"""From a recipe to tensors: in place into a resident model, or streamed to disk."""

from evomerge.merging.export import Provenance, ScoreLine, export_model
from evomerge.merging.library import Library
from evomerge.merging.merge import Merge
from evomerge.merging.resident import ResidentModel

__all__ = ["Library", "Merge", "Provenance", "ResidentModel", "ScoreLine", "export_model"]
